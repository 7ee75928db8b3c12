#!lua flags=allow-oom
--[[
Takes a job for a run, if no run holds it. Drops what the previous run wrote after its last
committed checkpoint: this run will compute the same again.

If a lease lapsed that was not released, its run has died or stands still. If that happens several
times in a row (ARGV[5]) at the same checkpoint, and nothing else can be the reason, the job kills
its workers: it fails. After the first time it must run alone, so that it takes no other job with
it. Some lapses do not count against the job: those of a process that ran other jobs too (but then
the job must run alone, which shows who was the cause); those of a process that had been told to
end; those while Redis was away, as far as Redis knows; and those of runs that come back later
(retract_crash.lua).

KEYS[1] the job's record
ARGV[1] the lease's token, not used before
ARGV[2] how long the lease lasts, in milliseconds
ARGV[3] 1 if the worker runs no other job
ARGV[4] the arithmetic version of the worker
ARGV[5] how many runs may die in a row before the job fails
ARGV[6] the turn that has come (shared/job.lua): then another job of the same owner may be taken
        instead; 0 if only this job may
ARGV[7] the format of the store that the worker knows
ARGV[8] how many bytes of memory the worker's other jobs leave

Returns {'taken', run, 1 if it must run alone, bytes of memory that it takes, milliseconds that it
  waited in the queue or nil if it was not there}, {'busy', milliseconds to wait before the next
  attempt}, {'alone'} if only an idle worker may run it, {'instead', id} if another job must be
  taken, {'done'} if there is nothing to run, {'newer'} if the store is too new for this worker
]]
if tonumber(redis.call('GET', root .. ':format') or 1) > tonumber(ARGV[7]) then
  return { 'newer' }
end

-- Owners take turns (shared/job.lua). When an owner's turn comes, the most urgent of its waiting
-- jobs takes it. So the delivery of one job may run another. The first job is then run by the
-- delivery of the other, even if that comes after the other has ended.
local function instead()
  local first = ARGV[6] ~= '0' and redis.call('ZRANGE', owned .. ':waiting', 0, 0)[1]
  return first and first ~= id and { 'instead', first }
end

local status = get('status')
if not status then return { 'done' } end
if lease_left_ms() > 0 then return instead() or { 'busy', lease_left_ms() } end
settle('; the run was already gone')
status = get('status')
if (ended[status] or status == 'paused') and number('run') > 0 and instead() then
  return instead()
end
if ended[status] or status == 'paused' then return { 'done' } end

if status == 'queued' and instead() then return instead() end
local limit = limit_of('running')
if status == 'queued' and limit and count('running', 'pausing', 'cancelling') >= limit then
  -- The more jobs wait, the less often each asks.
  return { 'busy', math.max(1000, 20 * count('queued')) }
end

local memory_bytes = number('memory_bytes') or 0
if ARGV[3] ~= '1' and memory_bytes > tonumber(ARGV[8]) then return { 'alone' } end

-- Whether Redis was started after the run last renewed its lease. Redis reports its age in whole
-- seconds, so it may be almost a second older.
local function redis_was_away()
  local expired = number('lease_expires_at')
  local uptime = tonumber(string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)'))
  return expired and now - (uptime + 1) * 1000 > expired - ARGV[2]
end

-- The error of a job that kills its workers. It depends on how far the last run had come.
local function crash_loop(crashes)
  local step = get('progress') and cjson.decode(get('progress')).step or 0
  if get('model_job') then
    return crashes .. ' runs in a row died, the last one after row ' ..
      string.format('%.0f', step) .. '.',
      'Their processes ended without an error message, as happens when a machine runs out of ' ..
      'memory. Look into the logs of the workers.'
  end
  if step >= number('total_steps') then
    return crashes .. ' runs in a row died after the last step, before the result was stored.',
      'The training is not the cause. Look into the logs of the workers for what ends them, ' ..
      'and post the job again.'
  end
  local at = 'before their first step was done'
  if step > 0 then
    at = 'at the same point, the last one after step ' .. string.format('%.0f', step)
  end
  return crashes .. ' runs in a row died ' .. at .. '.',
    'Their processes ended without an error message, as happens when a machine runs out of ' ..
    'memory: try a smaller batch_size or model. If that does not help, look into the logs of ' ..
    'the workers.'
end

local checkpoint = get('checkpoint_step') or ''
local alone = false
if status == 'running' then
  local blame = redis_was_away() and 'none' or get('blame') or 'own'
  local crashes = get('crash_step') == checkpoint and number('crashes') or 0
  if blame == 'own' then crashes = crashes + 1 end
  alone = blame ~= 'none' or crashes > 0
  if alone and crashes < tonumber(ARGV[5]) and ARGV[3] ~= '1' then return { 'alone' } end
  set('crashes', crashes, 'crash_step', checkpoint)
  if blame == 'own' then set('crash_run', get('run')) end
  append(event('lease_lost',
    'The run no longer renewed its lease: its process or its machine died or stood still.'))
  if crashes >= tonumber(ARGV[5]) then
    local message, suggestion = crash_loop(crashes)
    local failed_step = tonumber(checkpoint) or cjson.null
    set('error', cjson.encode({
      code = 'crash_loop', message = message, suggestion = suggestion, step = failed_step,
    }))
    append(event('failed', message, tonumber(checkpoint)))
    end_job('failed')
    return { 'done' }
  end
end

local since = redis.call('ZSCORE', root .. ':waiting', id)
complete_older_record()
delete_uploads()
drop_rows(tonumber(checkpoint) or 0)
local run = increase('run', 1)
set('token', ARGV[1], 'lease_expires_at', now + ARGV[2], 'reported', 0)
set('blame', ARGV[3] == '1' and 'own' or 'shared')
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
  local message = 'The arithmetic version was ' .. arithmetic_version() .. ' and is ' .. version ..
    ' from here on.'
  append(event('arithmetic_changed', message, tonumber(checkpoint)))
end
compute_from(tonumber(checkpoint) or 0, version)
if tonumber(ARGV[6]) > tonumber(redis.call('GET', root .. ':turn') or 0) then
  redis.call('SET', root .. ':turn', ARGV[6])
end
set_status('running')
return { 'taken', run, alone and 1 or 0, memory_bytes, since and now - since }
