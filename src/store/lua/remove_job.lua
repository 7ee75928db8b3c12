#!lua flags=allow-oom
--[[
Deletes a job that has ended, with everything that belongs to it.

KEYS[1] the job's record

Returns 'removed', 'wrong_status', 'missing'
]]
local status = get('status')
if not status then return 'missing' end
if not ended[status] then return 'wrong_status' end
local function delete_file(key)
  local blob = redis.call('HMGET', key, 'blob', 'bytes')
  if blob[1] then delete_blob(blob[1], tonumber(blob[2])) end
  redis.call('DEL', key)
end

for _, step in ipairs(redis.call('ZRANGE', job .. ':checkpoints', 0, -1)) do delete_file(job .. ':checkpoint:' .. step) end
for _, which in ipairs({ 'final', 'best' }) do delete_file(job .. ':model:' .. which) end
-- What was let go is gone by itself some time after the end.
if now - number('finished_at') < LOOSE_MS then delete_dropped() end
count_bytes(0)
local idempotency = get('idempotency') and owned .. ':idempotency:' .. get('idempotency')
-- The key may have expired and been used anew.
if idempotency and redis.call('HGET', idempotency, 'job') == id then redis.call('DEL', idempotency) end
redis.call('ZREM', root .. ':ended', job)
redis.call('ZREM', owned .. ':jobs', id)
unlist(status)
redis.call('DEL', job, job .. ':events', job .. ':metrics', job .. ':checkpoints', job .. ':told')
return 'removed'
