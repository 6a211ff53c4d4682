-- Reads rooms: where each log is, and its entries behind an offset. Each names the one before it, so that it is seen whether the
-- log still has all of them. A room without a log gets one. It changes nothing that a site is answerable for, so it asks for
-- no fence.
-- KEYS 1 fence, then for each room: meta, stream
-- ARGV 1 meta ms 2 entries of a room at most 3 bytes of all rooms together at most, of which the last entry may be in excess,
--      then for each room: fresh epoch, offset ('': no entries)
-- Returns {epoch, top, cut, entry, …} for each room. Cut is 1 where a bound was met before all was looked at: ask again. The
-- first room that has entries gets one at least, so that each reply brings a room nearer.
local rooms, left, most = {}, tonumber(ARGV[3]), tonumber(ARGV[2])
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
  local room = {epoch, top, 0}
  if since ~= '' and since ~= top then
    -- One more than there may be, to see whether there is one; one, to see whether there is any for which no bytes are left.
    local entries = redis.call('XRANGE', stream, '(' .. since, '+', 'COUNT', left > 0 and most + 1 or 1)
    for n, entry in ipairs(entries) do
      if n > most or left <= 0 then
        room[3] = 1
        break
      end
      room[#room + 1] = entry[2][2]
      left = left - #entry[2][2]
    end
  end
  rooms[#rooms + 1] = room
end
return rooms
