#!lua
--[[
Records an upload, a dataset or weights, unless its owner already has the same.

KEYS[1]  its record
ARGV[1]  the hash by which its owner's uploads are known: of a dataset that of its file of columns,
         which depends on the bytes and on the reading; of weights that of the bytes
ARGV[2]  how many bytes it has
ARGV[3]  the record as JSON; this script adds when it was created and how many bytes the record
         takes
ARGV[4…] the names of its files

Returns the record, and 1 if it is new, 0 if not.
Errors: LIMITED if its owner may not have more, FULL if there is no room.
]]
local list = uploads_of(kind)
local known = redis.call('HGET', list .. ':sha256', ARGV[1])
if known then return { redis.call('GET', owned .. ':' .. kind .. ':' .. known), 0 } end
stay_within('dataset_bytes', used_bytes('dataset_bytes'), tonumber(ARGV[2]))
local room = DATASET_RECORD_BYTES + text_room(ARGV[3], FIELD_BYTES)
assert_room(room)
use_bytes('dataset_bytes', ARGV[2])
use_bytes('checkpoint_bytes', room)
local head = string.format('{"created_at":%d,"counted_bytes":%d,', now, room)
local record = head .. string.sub(ARGV[3], 2)
redis.call('SET', KEYS[1], record)
redis.call('HSET', list .. ':sha256', ARGV[1], id)
redis.call('ZADD', list, 0, id)
for i = 4, #ARGV do redis.call('HINCRBY', root .. ':files', ARGV[i], 1) end
return { record, 1 }
