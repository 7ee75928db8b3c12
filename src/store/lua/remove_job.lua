#!lua flags=allow-oom
--[[
Deletes a job that has ended, with everything that belongs to it.

KEYS[1] the job's record

Returns 'removed', 'wrong_status', 'missing'
]]
local status = get('status')
if not status then return 'missing' end
if not ended[status] then return 'wrong_status' end
for _, step in ipairs(redis.call('ZRANGE', job .. ':checkpoints', 0, -1)) do drop_checkpoint(step) end
for _, which in ipairs({ 'final', 'best' }) do
  local blob = redis.call('HMGET', job .. ':model:' .. which, 'blob', 'bytes')
  if blob[1] then drop_blob(blob[1], tonumber(blob[2])) end
  redis.call('DEL', job .. ':model:' .. which)
end
count_bytes(0)
delete_dropped()
local idempotency = get('idempotency') and owned .. ':idempotency:' .. get('idempotency')
-- The key may have expired and been used anew.
if idempotency and redis.call('HGET', idempotency, 'job') == id then redis.call('DEL', idempotency) end
redis.call('ZREM', root .. ':ended', job)
redis.call('ZREM', owned .. ':jobs', id)
unlist(status)
redis.call('DEL', job, job .. ':events', job .. ':metrics')
return 'removed'
