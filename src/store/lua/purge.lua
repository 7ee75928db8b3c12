#!lua flags=allow-oom
--[[
Deletes a job that has ended, with everything that belongs to it.

KEYS[1] the job's record

Returns 1, or 0 if it has not ended.
]]
local status = get('status')
if not ended[status] then return 0 end
for _, step in ipairs(redis.call('ZRANGE', job .. ':checkpoints', 0, -1)) do drop_checkpoint(step) end
for _, which in ipairs({ 'final', 'best' }) do
  local blob = redis.call('HMGET', job .. ':model:' .. which, 'blob', 'bytes')
  if blob[1] then drop_blob(blob[1], tonumber(blob[2])) end
  redis.call('DEL', job .. ':model:' .. which)
end
count_bytes(0)
if get('idempotency') then redis.call('DEL', owned .. ':idempotency:' .. get('idempotency')) end
redis.call('ZREM', root .. ':ended', job)
redis.call('ZREM', owned .. ':jobs', id)
unlist(status)
redis.call('DEL', job, job .. ':events', job .. ':metrics')
return 1
