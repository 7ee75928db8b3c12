#!lua flags=no-writes
--[[
Reads the metadata of many jobs of one owner.

KEYS[1] the record of one of them
ARGV    ids

Returns their metadata, as JSON, in this order; nil for a job that is gone.
]]
local found = {}
for i, other in ipairs(ARGV) do
  found[i] = redis.call('HGET', owned .. ':job:' .. other, 'metadata')
end
return found
