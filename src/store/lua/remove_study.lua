#!lua flags=allow-oom
--[[
Deletes a study that has ended. The jobs of its trials stay.

KEYS[1] the study's record

Returns 'removed', 'wrong_status', 'missing'
]]
local status = get('status')
if not status then return 'missing' end
if not ended[status] then return 'wrong_status' end
use_bytes('checkpoint_bytes', -number('reserved'))
redis.call('ZREM', owned .. ':studies', id)
redis.call('DEL', job .. ':trials', job .. ':events')
erase_record()
return 'removed'
