-- Makes a client a member of a room at this site; again is the same as once. The room is occupied with its first member.
-- KEYS 1 fence 2 meta 3 sites of the room 4 members at this site 5 rooms of this site 6 leases
-- ARGV 1 site 2 generation 3 term 4 room 5 client 6 info 7 meta ms 8 channel 9 PUBLISH or SPUBLISH
--      10 members at most ('': any number) 11 key of the members at a site, up to the site 12 watches (1: is told who comes)
-- Returns {the site's count, number of the event "occupied" (0: none), resync}. Resync is 1 where the room had members
-- although it was not known to be occupied.
local f = redis.call('HMGET', KEYS[1], 't', 'g:' .. ARGV[1])
if f[1] ~= ARGV[3] or f[2] ~= ARGV[2] then return redis.error_reply('FENCED this site has another term or generation') end
local is_new = redis.call('HEXISTS', KEYS[4], ARGV[5]) == 0
if is_new and ARGV[10] ~= '' then
  local info = redis.call('INFO', 'server')
  local now = math.floor(tonumber(string.match(info, '\nserver_time_usec:(%d+)')) / 1000)
  local members = 0
  for _, site in ipairs(redis.call('SMEMBERS', KEYS[3])) do
    local lease = redis.call('ZSCORE', KEYS[6], site)
    if lease and tonumber(lease) > now then members = members + redis.call('HLEN', ARGV[11] .. site) end
  end
  if members >= tonumber(ARGV[10]) then
    return redis.error_reply('FULL the room has ' .. members .. ' members, and at most ' .. ARGV[10])
  end
end
local count = redis.call('HINCRBY', KEYS[1], 'c:' .. ARGV[1], 1)
local m = redis.call('HMGET', KEYS[2], 'o', 'w')
redis.call('HSET', KEYS[4], ARGV[5], ARGV[6])
redis.call('SADD', KEYS[5], ARGV[4])
local is_first = redis.call('SADD', KEYS[3], ARGV[1]) == 1 and redis.call('SCARD', KEYS[3]) == 1
local event, resync = 0, 0
if m[1] ~= '1' then
  event = redis.call('HINCRBY', KEYS[1], 'q', 1)
  if not is_first then resync = 1 end
  redis.call('HSET', KEYS[2], 'o', 1)
end
if ARGV[12] == '1' then redis.call('HSET', KEYS[2], 'w', 1) end
redis.call('PEXPIRE', KEYS[2], ARGV[7])
if is_new and m[2] then redis.call(ARGV[9], ARGV[8], 'j1' .. ARGV[5] .. ' ' .. ARGV[6]) end
return {count, event, resync}
