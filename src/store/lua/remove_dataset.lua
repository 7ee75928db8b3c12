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
-- What an earlier version recorded has no hash of its columns, and is counted by that of its bytes.
local known, files = record.sha256, { record.sha256 }
if record.columns_sha256 then
  known, files = record.columns_sha256, { record.columns_sha256 .. '.columns', record.sha256 .. '.csv' }
end
use_bytes('dataset_bytes', -record.bytes)
use_bytes('checkpoint_bytes', -(record.counted_bytes or 0))
redis.call('DEL', KEYS[1])
redis.call('HDEL', owned .. ':datasets:sha256', known)
redis.call('ZREM', owned .. ':datasets', id)
for _, file in ipairs(files) do add(root .. ':files', file, -1) end
return 'removed'
