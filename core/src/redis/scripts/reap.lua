-- Buries a site whose lease is over, some rooms at a time: its members leave, and rooms without others are vacated. At the end
-- its generation goes, so that it is fenced if it lives; its count stays for an hour, so that it does not take its funeral for
-- a failover. Any number of sites may do this, again and again.
-- KEYS 1 fence 2 leases 3 rooms of the dead site
-- ARGV 1 site 2 generation 3 term 4 dead site 5 beginning of all keys 6 PUBLISH or SPUBLISH 7 rooms at most
-- Returns {1 when nothing is left, room, number of its event "vacated", …}.
local f = redis.call('HMGET', KEYS[1], 't', 'g:' .. ARGV[1])
if f[1] ~= ARGV[3] or f[2] ~= ARGV[2] then return redis.error_reply('FENCED this site has another term or generation') end
local info = redis.call('INFO', 'server')
local now = math.floor(tonumber(string.match(info, '\nserver_time_usec:(%d+)')) / 1000)
local dead, start = ARGV[4], ARGV[5]
local lease = redis.call('ZSCORE', KEYS[2], dead)
if lease and tonumber(lease) > now then return redis.error_reply('ALIVE the lease of that site is not over') end
local answer = {0}
local rooms = redis.call('SPOP', KEYS[3], ARGV[7])
table.sort(rooms) -- so that their events have numbers in one order everywhere
for _, room in ipairs(rooms) do
  local meta, sites, members = start .. 'm:' .. room, start .. 'w:' .. room, start .. 'p:' .. room .. ':' .. dead
  local m = redis.call('HMGET', meta, 'o', 'w')
  if m[2] then
    local gone = redis.call('HGETALL', members)
    for i = 1, #gone, 2 do redis.call(ARGV[6], start .. 'c:' .. room, 'l1' .. gone[i] .. ' ' .. gone[i + 1]) end
  end
  redis.call('DEL', members)
  redis.call('SREM', sites, dead)
  if m[1] == '1' and redis.call('EXISTS', sites) == 0 then
    answer[#answer + 1] = room
    answer[#answer + 1] = redis.call('HINCRBY', KEYS[1], 'q', 1)
    redis.call('HSET', meta, 'o', 0)
  end
end
if redis.call('EXISTS', KEYS[3]) == 0 then
  answer[1] = 1
  redis.call('HDEL', KEYS[1], 'g:' .. dead)
  -- A reaped site stands there with the time of its end, negative.
  if lease and tonumber(lease) > 0 then redis.call('ZADD', KEYS[2], string.format('-%.0f', now), dead) end
  local hour_ago = string.format('(-%.0f', now - 3600000)
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], hour_ago, '(0', 'LIMIT', 0, 8)) do
    redis.call('HDEL', KEYS[1], 'c:' .. old)
    redis.call('ZREM', KEYS[2], old)
  end
end
return answer
