#!lua flags=allow-oom
--[[
Queues a paused job again. It will continue from its last checkpoint.

KEYS[1] the job's record

Returns {'queued', 1 if a wake-up must be added to the queue}, {'wrong_status'}, {'missing'}
]]
local status = get('status')
if not status then return { 'missing' } end
if status ~= 'paused' then return { 'wrong_status' } end
append(event('requeued', 'Resumed; it waits for a worker.', number('checkpoint_step')))
return { 'queued', is_set() and queue_set() or queue_up() }
