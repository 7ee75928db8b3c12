#!lua flags=allow-oom
--[[
Removes a dataset that no job needs any more.

KEYS[1] the dataset

Returns 'removed', 'in_use', 'missing'
]]
local dataset = redis.call('GET', KEYS[1])
if not dataset then return 'missing' end
if redis.call('EXISTS', KEYS[1] .. ':jobs') == 1 then return 'in_use' end
local record = cjson.decode(dataset)
local sha256 = record.sha256
use_bytes('dataset_bytes', -record.bytes)
use_bytes('checkpoint_bytes', -(record.counted_bytes or 0))
redis.call('DEL', KEYS[1])
redis.call('HDEL', owned .. ':datasets:sha256', sha256)
redis.call('ZREM', owned .. ':datasets', id)
if redis.call('HINCRBY', root .. ':files', sha256, -1) == 0 then redis.call('HDEL', root .. ':files', sha256) end
return 'removed'
