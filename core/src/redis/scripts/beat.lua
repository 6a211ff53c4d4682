-- Renews a site's lease and publishes a beat to the site itself, which proves that its link writes and hears. It looks at the
-- server's history once more: a process may have been demoted and promoted under a link.
-- KEYS 1 fence 2 leases
-- ARGV 1 site 2 generation 3 term 4 history 5 lease ms 6 channel 7 PUBLISH or SPUBLISH 8 number
-- Returns {the server's clock in ms, site, …}: at most 8 sites whose leases are over.
local info = redis.call('INFO', 'server', 'replication')
local history = string.match(info, '\nrun_id:(%w+)') .. ' ' .. string.match(info, '\nmaster_replid2:(%w+)')
if history ~= ARGV[4] then return redis.error_reply('FENCED this server has another history') end
local f = redis.call('HMGET', KEYS[1], 't', 'g:' .. ARGV[1])
if f[1] ~= ARGV[3] or f[2] ~= ARGV[2] then return redis.error_reply('FENCED this site has another term or generation') end
local now = math.floor(tonumber(string.match(info, '\nserver_time_usec:(%d+)')) / 1000)
local clock = string.format('%.0f', now)
redis.call('ZADD', KEYS[2], string.format('%.0f', now + tonumber(ARGV[5])), ARGV[1])
redis.call(ARGV[7], ARGV[6], 'b1' .. ARGV[8])
local answer = redis.call('ZRANGEBYSCORE', KEYS[2], '(0', clock, 'LIMIT', 0, 8)
table.insert(answer, 1, now)
return answer
