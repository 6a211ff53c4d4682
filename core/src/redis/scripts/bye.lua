-- Ends a site in order, after its members have left: it is no one's to reap.
-- KEYS 1 fence 2 leases
-- ARGV 1 site 2 generation 3 term
-- Returns 1.
local f = redis.call('HMGET', KEYS[1], 't', 'g:' .. ARGV[1])
if f[1] ~= ARGV[3] or f[2] ~= ARGV[2] then return redis.error_reply('FENCED this site has another term or generation') end
redis.call('HDEL', KEYS[1], 'g:' .. ARGV[1], 'c:' .. ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
