-- Reads rooms: where each log is, and its entries from an offset on, which is included, so that it is seen whether the log
-- still has it. A room without a log gets one. It changes nothing that a site is answerable for, so it asks for no fence.
-- KEYS 1 fence, then for each room: meta, stream
-- ARGV 1 meta ms 2 entries of a room at most 3 bytes at most, then for each room: fresh epoch, offset ('': no entries)
-- Returns {epoch, top, entry, …} for each room. Where the last entry is not the top, the bound of bytes was met: ask again.
local rooms, left = {}, tonumber(ARGV[3])
for i = 2, #KEYS, 2 do
  local meta, stream, since = KEYS[i], KEYS[i + 1], ARGV[i + 3]
  local m = redis.call('HMGET', meta, 'e', 't')
  local epoch, top = m[1], m[2]
  if not epoch then
    epoch, top = ARGV[i + 2], '0'
    redis.call('DEL', stream) -- what is left belongs to no log
    -- The term: an empty log that is lost later has to jump, too.
    redis.call('HSET', meta, 'e', epoch, 't', top, 'n', redis.call('HGET', KEYS[1], 't') or '')
  end
  redis.call('PEXPIRE', meta, ARGV[1])
  local room = {epoch, top}
  if since ~= '' and left > 0 then
    for _, entry in ipairs(redis.call('XRANGE', stream, since, '+', 'COUNT', ARGV[2])) do
      room[#room + 1] = entry[2][2]
      left = left - #entry[2][2]
      if left <= 0 then break end
    end
  end
  rooms[#rooms + 1] = room
end
return rooms
