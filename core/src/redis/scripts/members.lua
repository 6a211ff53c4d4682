-- Lists or counts the members of a room, site by site. A site whose lease is over has none, reaped or not.
-- KEYS 1 leases 2 sites of the room
-- ARGV 1 key of the members at a site, up to the site 2 list or count
-- Returns {site, number of members} or {site, {client, info, …}} for each site, in the order of their names.
local info = redis.call('INFO', 'server')
local now = math.floor(tonumber(string.match(info, '\nserver_time_usec:(%d+)')) / 1000)
local sites = redis.call('SMEMBERS', KEYS[2])
table.sort(sites)
local answer = {}
for _, site in ipairs(sites) do
  local lease = redis.call('ZSCORE', KEYS[1], site)
  if lease and tonumber(lease) > now then
    answer[#answer + 1] = {site, redis.call(ARGV[2] == 'list' and 'HGETALL' or 'HLEN', ARGV[1] .. site)}
  end
end
return answer
