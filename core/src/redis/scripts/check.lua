-- Says where logs are, and keeps them remembered: what a follower has at this reply has to be the same. It asks for no fence.
-- KEYS meta of each room, at most 100
-- ARGV 1 meta ms
-- Returns epoch and top of each room, null where there is no log.
local tops = {}
for _, meta in ipairs(KEYS) do
  local m = redis.call('HMGET', meta, 'e', 't')
  redis.call('PEXPIRE', meta, ARGV[1])
  tops[#tops + 1] = m[1]
  tops[#tops + 1] = m[2]
end
return tops
