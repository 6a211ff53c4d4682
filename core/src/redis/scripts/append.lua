-- Appends an entry to a room's log and publishes it: what is stored and what is sent are the same bytes.
-- KEYS 1 fence 2 meta 3 stream [4 once]
-- ARGV 1 site 2 generation 3 term 4 body 5 keep (0: not stored) 6 stream ms 7 meta ms 8 fresh epoch 9 channel
--      10 PUBLISH or SPUBLISH 11 once ms
-- Returns {the site's count, "epoch offset"}.
local f = redis.call('HMGET', KEYS[1], 't', 'g:' .. ARGV[1])
if f[1] ~= ARGV[3] or f[2] ~= ARGV[2] then return redis.error_reply('FENCED this site has another term or generation') end
local count = redis.call('HINCRBY', KEYS[1], 'c:' .. ARGV[1], 1)
if KEYS[4] then
  local before = redis.call('GET', KEYS[4])
  if before then return {count, before} end
end
local m = redis.call('HMGET', KEYS[2], 'e', 't', 'n')
local epoch, prev = m[1], tonumber(m[2] or 0)
local at = prev + 1
if epoch and m[3] ~= ARGV[3] then
  -- The first append of this term: its offset comes from a range that no lost message was in.
  at = (math.floor(prev / 1048576) + 1 + tonumber(string.sub(ARGV[3], 1, 5), 16)) * 1048576 + 1
end
-- 2^53 - 2^41: beyond it an offset, or the next jump, would not be exact in JavaScript.
if not epoch or at >= 9005000231485440 then
  epoch, prev, at = ARGV[8], 0, 1
  redis.call('DEL', KEYS[3]) -- what is left of another log
end
local offset = string.format('%.0f', at) -- Lua's own conversion loses digits above 10^14
local entry = 'e1' .. epoch .. ' ' .. offset .. ' ' .. string.format('%.0f', prev) .. ' ' .. ARGV[4]
if ARGV[5] ~= '0' then
  redis.call('XADD', KEYS[3], 'MAXLEN', ARGV[5], offset .. '-0', 'v', entry)
  redis.call('PEXPIRE', KEYS[3], ARGV[6])
end
redis.call('HSET', KEYS[2], 'e', epoch, 't', offset, 'n', ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
redis.call(ARGV[10], ARGV[9], entry)
if KEYS[4] then redis.call('SET', KEYS[4], epoch .. ' ' .. offset, 'PX', ARGV[11]) end
return {count, epoch .. ' ' .. offset}
