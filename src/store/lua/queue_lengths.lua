#!lua flags=no-writes
--[[
Counts the jobs in the queue.

KEYS[1] the list of who waits since when

Returns how many wait for a worker, how many have one, and how many wait until their owners may run
  more
]]
local delayed, active = 0, 0
for _, whose in ipairs(redis.call('ZRANGE', HELD, 0, -1)) do
  delayed = delayed + redis.call('ZCARD', root .. ':owner:' .. whose .. ':waiting')
end
for status in pairs(runs) do
  active = active + (redis.call('HGET', root .. ':statuses', status) or 0)
end
return { math.max(0, redis.call('ZCARD', KEYS[1]) - delayed), active, delayed }
