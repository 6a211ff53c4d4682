-- Begins a site's time on this server: a new generation, so that nothing of the site's earlier links counts any more; a new
-- term where the server's history is not the one that wrote the data; and a lease.
-- KEYS 1 fence 2 leases
-- ARGV 1 site 2 history 3 fresh term 4 lease ms 5 format
-- Returns {term, generation, the site's count, the server's clock in ms}.
local info = redis.call('INFO', 'server', 'replication')
if not string.find(info, '\nrole:master', 1, true) then return redis.error_reply('READONLY this server is a replica') end
local history = string.match(info, '\nrun_id:(%w+)') .. ' ' .. string.match(info, '\nmaster_replid2:(%w+)')
if history ~= ARGV[2] then return redis.error_reply('FENCED this server has another history') end
local now = math.floor(tonumber(string.match(info, '\nserver_time_usec:(%d+)')) / 1000)

local f = redis.call('HMGET', KEYS[1], 't', 'h', 'v', 'q')
if f[3] and f[3] ~= ARGV[5] then
  return redis.error_reply('FORMAT the data has format ' .. f[3] .. ', and this site writes ' .. ARGV[5])
end
local term = f[1]
if not term or f[2] ~= history then
  term = ARGV[3]
  -- Numbers of events jump as offsets do, so that a lost one is never used again.
  local event = (math.floor(tonumber(f[4] or 0) / 1048576) + 1 + tonumber(string.sub(term, 1, 5), 16)) * 1048576
  redis.call('HSET', KEYS[1], 't', term, 'h', history, 'v', ARGV[5], 'q', string.format('%.0f', event))
end
-- One counter for all sites: a site that was reaped, and has no field any more, does not get an earlier number again.
local generation = redis.call('HINCRBY', KEYS[1], 'g', 1)
redis.call('HSET', KEYS[1], 'g:' .. ARGV[1], generation)
local count = redis.call('HGET', KEYS[1], 'c:' .. ARGV[1])
redis.call('ZADD', KEYS[2], string.format('%.0f', now + tonumber(ARGV[4])), ARGV[1])
return {term, generation, tonumber(count or 0), now}
