#!lua flags=allow-oom
--[[
Deletes an upload, a dataset or weights, that no job needs any more.

KEYS[1]  its record
ARGV[1]  the hash by which its owner's uploads are known (put_upload.lua)
ARGV[2…] the names by which its files are counted

Returns 'removed', 'in_use', 'missing'
]]
local text = redis.call('GET', KEYS[1])
if not text then return 'missing' end
if redis.call('EXISTS', KEYS[1] .. ':jobs') == 1 then return 'in_use' end
local record = cjson.decode(text)
use_bytes('dataset_bytes', -record.bytes)
use_bytes('checkpoint_bytes', -(record.counted_bytes or 0))
redis.call('DEL', KEYS[1])
redis.call('HDEL', uploads_of(kind) .. ':sha256', ARGV[1])
redis.call('ZREM', uploads_of(kind), id)
for i = 2, #ARGV do add(root .. ':files', ARGV[i], -1) end
return 'removed'
