-- Gives a log a new epoch, because it has lost something that was acknowledged: its entries stay, and whoever follows it, or
-- comes back to it, is told of a gap. It never looks at the epoch: another site's rotation announces another loss.
-- KEYS 1 fence 2 meta
-- ARGV 1 site 2 generation 3 term 4 fresh epoch 5 meta ms 6 channel 7 PUBLISH or SPUBLISH
-- Returns {the site's count, "epoch top"}; without the second where there is no log, and so nobody to tell.
local f = redis.call('HMGET', KEYS[1], 't', 'g:' .. ARGV[1])
if f[1] ~= ARGV[3] or f[2] ~= ARGV[2] then return redis.error_reply('FENCED this site has another term or generation') end
local count = redis.call('HINCRBY', KEYS[1], 'c:' .. ARGV[1], 1)
local m = redis.call('HMGET', KEYS[2], 'e', 't')
if not m[1] then return {count} end
local place = ARGV[4] .. ' ' .. m[2]
redis.call('HSET', KEYS[2], 'e', ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call(ARGV[7], ARGV[6], 'r1' .. place)
return {count, place}
