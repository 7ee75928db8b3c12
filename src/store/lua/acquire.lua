#!lua flags=allow-oom
--[[
Takes a job for a run, if nobody holds it. What the previous run left after its last committed checkpoint is dropped: this run will make the same again.

A run whose lease lapsed without being released has died or stands still. If that happens at the same checkpoint `limit` times in a row, the job is
what kills its workers, and fails. After the first time it must run alone, lest it take others with it.

KEYS[1] the job's record
ARGV[1] the lease's token, not used before
ARGV[2] for how long it is leased, in milliseconds
ARGV[3] 1 if the worker runs no other job
ARGV[4] the arithmetic version of the worker
ARGV[5] how many runs may die in a row
ARGV[6] the turn that has come (shared.lua), in which it may be another job of the same owner; 0 if it must be this one
ARGV[7] the format of the store that the worker knows

Returns {'taken', run, 1 if it must run alone}, {'busy', milliseconds until it is worth another try}, {'alone'} if it may only run in an idle
worker, {'instead', id} if another job is to be taken, {'done'} if there is nothing to run, {'newer'} if the store is too new for this worker
]]
if tonumber(redis.call('GET', root .. ':format') or 1) > tonumber(ARGV[7]) then return { 'newer' } end

-- Owners take turns (shared.lua); which of its jobs takes an owner's turn is seen when it has come: the most urgent that waits. So the delivery of a
-- job may serve another; its own is then served by the other's, which may come when it has ended.
local function instead()
  local first = ARGV[6] ~= '0' and redis.call('ZRANGE', owned .. ':waiting', 0, 0)[1]
  return first and first ~= id and { 'instead', first }
end

local status = get('status')
if not status then return { 'done' } end
if lease_left_ms() > 0 then return instead() or { 'busy', lease_left_ms() } end
settle('; the run was already gone')
status = get('status')
if (ended[status] or status == 'paused') and number('run') > 0 and instead() then return instead() end
if ended[status] or status == 'paused' then return { 'done' } end

if status == 'queued' and instead() then return instead() end
local limit = limit_of('running')
if status == 'queued' and limit and count('running', 'pausing', 'cancelling') >= limit then
  -- The more of them wait the less often each asks.
  return { 'busy', math.max(1000, 20 * count('queued')) }
end

local checkpoint = get('checkpoint_step') or ''
local crashes = 0
if status == 'running' then
  crashes = (get('crash_step') == checkpoint and number('crashes') or 0) + 1
  if crashes < tonumber(ARGV[5]) and ARGV[3] ~= '1' then return { 'alone' } end
  set('crashes', crashes, 'crash_step', checkpoint)
  append(event('lease_lost', 'The run no longer renewed its lease: its process or its machine died or stood still.'))
  if crashes >= tonumber(ARGV[5]) then
    local message = crashes .. ' runs in a row died at the same point.'
    local suggestion = 'The job probably needs more memory than its workers have: try a smaller batch_size or model.'
    set('error', cjson.encode({ code = 'crash_loop', message = message, suggestion = suggestion, step = tonumber(checkpoint) or cjson.null }))
    append(event('failed', message, tonumber(checkpoint)))
    end_job('failed')
    return { 'done' }
  end
end

adopt()
delete_uploads()
drop_rows(tonumber(checkpoint) or 0)
local run = redis.call('HINCRBY', job, 'run', 1)
set('token', ARGV[1], 'lease_expires_at', now + ARGV[2], 'reported', 0)
if run == 1 then
  set('started_at', now)
  append(event('started', 'Started.'))
else
  renew_events()
  local from = checkpoint == '' and 'the beginning' or 'the checkpoint of step ' .. checkpoint
  append(event('resumed', 'Resumed from ' .. from .. '.', tonumber(checkpoint) or 0))
end
local version = tonumber(ARGV[4])
if run > 1 and arithmetic_version() ~= version then
  local message = 'The arithmetic version was ' .. arithmetic_version() .. ' and is ' .. version .. ' from here on.'
  append(event('arithmetic_changed', message, tonumber(checkpoint)))
end
compute_from(tonumber(checkpoint) or 0, version)
if tonumber(ARGV[6]) > tonumber(redis.call('GET', root .. ':turn') or 0) then redis.call('SET', root .. ':turn', ARGV[6]) end
set_status('running')
return { 'taken', run, crashes > 0 and 1 or 0 }
