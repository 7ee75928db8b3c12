#!lua flags=allow-oom
--[[
Deletes a dataset that no job needs any more.

KEYS[1] the dataset

Returns 'removed', 'in_use', 'missing'
]]
local dataset = redis.call('GET', KEYS[1])
if not dataset then return 'missing' end
if redis.call('EXISTS', KEYS[1] .. ':jobs') == 1 then return 'in_use' end
local record = cjson.decode(dataset)
-- A record of an earlier version has no hash of its columns. It is counted by the hash of its
-- bytes.
local known, files = record.sha256, { record.sha256 }
if record.columns_sha256 then
  known = record.columns_sha256
  files = { record.columns_sha256 .. '.columns', record.sha256 .. '.csv' }
end
use_bytes('dataset_bytes', -record.bytes)
use_bytes('checkpoint_bytes', -(record.counted_bytes or 0))
redis.call('DEL', KEYS[1])
redis.call('HDEL', owned .. ':datasets:sha256', known)
redis.call('ZREM', owned .. ':datasets', id)
for _, file in ipairs(files) do add(root .. ':files', file, -1) end
return 'removed'
