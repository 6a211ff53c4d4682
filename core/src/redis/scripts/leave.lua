-- Ends a client's membership in a room at this site; again is the same as once. The room is vacated with its last member.
-- KEYS 1 fence 2 meta 3 sites of the room 4 members at this site 5 rooms of this site
-- ARGV 1 site 2 generation 3 term 4 room 5 client 6 channel 7 PUBLISH or SPUBLISH
-- Returns {the site's count, number of the event "vacated" (0: none)}.
local f = redis.call('HMGET', KEYS[1], 't', 'g:' .. ARGV[1])
if f[1] ~= ARGV[3] or f[2] ~= ARGV[2] then return redis.error_reply('FENCED this site has another term or generation') end
local count = redis.call('HINCRBY', KEYS[1], 'c:' .. ARGV[1], 1)
local m = redis.call('HMGET', KEYS[2], 'o', 'w')
local info = redis.call('HGET', KEYS[4], ARGV[5])
if info then
  redis.call('HDEL', KEYS[4], ARGV[5])
  if m[2] then redis.call(ARGV[7], ARGV[6], 'l1' .. ARGV[5] .. ' ' .. info) end
end
local event = 0
if redis.call('EXISTS', KEYS[4]) == 0 then
  redis.call('SREM', KEYS[5], ARGV[4])
  redis.call('SREM', KEYS[3], ARGV[1])
  if m[1] == '1' and redis.call('EXISTS', KEYS[3]) == 0 then
    event = redis.call('HINCRBY', KEYS[1], 'q', 1)
    redis.call('HSET', KEYS[2], 'o', 0)
  end
end
return {count, event}
