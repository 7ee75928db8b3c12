#!lua
--[[
Records an uploaded dataset, unless its owner already has the same bytes with the same reading.

KEYS[1] the dataset
ARGV[1] SHA-256 of its file of columns, which depends on the bytes and on the reading
ARGV[2] SHA-256 of its bytes
ARGV[3] how many bytes it has
ARGV[4] the dataset as JSON; this script adds when it was created and how many bytes its record
        takes

Returns the dataset, and 1 if it is new, 0 if not.
Errors: LIMITED if its owner may not have more, FULL if there is no room.
]]
local known = redis.call('HGET', owned .. ':datasets:sha256', ARGV[1])
if known then return { redis.call('GET', owned .. ':dataset:' .. known), 0 } end
stay_within('dataset_bytes', used_bytes('dataset_bytes'), tonumber(ARGV[3]))
local room = DATASET_RECORD_BYTES + text_room(ARGV[4], FIELD_BYTES)
assert_room(room)
use_bytes('dataset_bytes', ARGV[3])
use_bytes('checkpoint_bytes', room)
local head = string.format('{"created_at":%d,"counted_bytes":%d,', now, room)
local dataset = head .. string.sub(ARGV[4], 2)
redis.call('SET', KEYS[1], dataset)
redis.call('HSET', owned .. ':datasets:sha256', ARGV[1], id)
redis.call('ZADD', owned .. ':datasets', 0, id)
for _, file in ipairs({ ARGV[1] .. '.columns', ARGV[2] .. '.csv' }) do
  redis.call('HINCRBY', root .. ':files', file, 1)
end
return { dataset, 1 }
