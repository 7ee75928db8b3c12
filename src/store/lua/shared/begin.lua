-- How a run gets a job. It builds on job.lua. claim.lua, finish.lua and begin_claimed.lua use it.
--
-- If a lease lapsed that was not released, its run has died or stands still. If that happens
-- several times in a row at the same checkpoint, and nothing else can be the reason, the job kills
-- its workers: it fails. After the first time it must run alone, so that it takes no other job with
-- it. Some lapses do not count against the job: those of a process that ran other jobs too (but
-- then the job must run alone, which shows who was the cause); those of a process that had been
-- told to end; those while Redis was away, as far as Redis knows; and those of runs that come back
-- later (retract_crash.lua).

-- Whether Redis was started after the run last renewed its lease. Redis reports its age in whole
-- seconds, so it may be almost a second older.
local function redis_was_away(lease_ms)
  local expired = number('lease_expires_at')
  local uptime = tonumber(string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)'))
  return expired and now - (uptime + 1) * 1000 > expired - lease_ms
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

-- Records that the last run died. Returns whether the job must run alone; or 'alone' if this worker
-- is not idle, or 'gone' if the job fails for it: then the run does not get it.
local function note_death(place, checkpoint)
  local blame = redis_was_away(place.lease_ms) and 'none' or get('blame') or 'own'
  local crashes = get('crash_step') == checkpoint and number('crashes') or 0
  if blame == 'own' then crashes = crashes + 1 end
  local alone = blame ~= 'none' or crashes > 0
  if alone and crashes < place.max_crashes and not place.idle then return alone, 'alone' end
  set('crashes', crashes, 'crash_step', checkpoint)
  if blame == 'own' then set('crash_run', get('run')) end
  append(event('lease_lost',
    'The run no longer renewed its lease: its process or its machine died or stood still.'))
  if crashes < place.max_crashes then return alone end
  local message, suggestion = crash_loop(crashes)
  local failed_step = tonumber(checkpoint) or cjson.null
  set('error', cjson.encode({
    code = 'crash_loop', message = message, suggestion = suggestion, step = failed_step,
  }))
  append(event('failed', message, tonumber(checkpoint)))
  end_job('failed')
  return alone, 'gone'
end

-- The fields of the record that a run reads first (WORK_FIELDS), or false if they are long: claims
-- keep them, and threads send them to each other. With a checkpoint, the run reads more anyway.
local function work()
  if get('checkpoint_step') then return false end
  local values, bytes = get_all(WORK_FIELDS), 0
  for _, value in ipairs(values) do bytes = bytes + #(value or '') end
  return bytes <= WORK_BYTES and values
end

-- What a run needs to know of the job that it got. `waited`: for how many milliseconds the job was
-- in the queue; -1 if it was not there.
local function taken(alone, waited)
  return { owner, id, get('token'), number('run'), alone and 1 or 0, waited,
    number('memory_bytes') or 0, number('work_ms') or -1, get('trace') or '', work() }
end

-- Whether the owner may run no more jobs at present.
local function is_at_limit()
  local limit = limit_of('running')
  -- A set counts once, however many of its shards run.
  if limit and get('set') and redis.call('HGET', set_of_shard(), 'status') == 'running' then
    return false
  end
  return limit and count('running', 'pausing', 'cancelling') >= limit
end

-- Begins the job with this token, unless another run or another claim holds it. Drops what the
-- previous run wrote after its last committed checkpoint: this run will compute the same again.
-- `place` is what the worker has for it: lease_ms, idle (it runs nothing else), memory_left (bytes;
-- an idle worker takes a job of any size), arithmetic_version, max_crashes (how many runs may die
-- in a row before the job fails).
--
-- Returns 'taken' and what `taken` returns; 'gone' if there is nothing to run, or it is not this
-- run's; 'held' if its owner may run no more jobs at present; 'alone' if only an idle worker may
-- run it.
local function begin(token, place)
  local status = get('status')
  -- The script comes again, because its answer was lost.
  if get('token') == token and not ended[status] then return 'taken', taken(false, -1) end
  if not status or lease_left_ms() > 0 then return 'gone' end
  settle('; the run was already gone')
  status = get('status')
  if not status or ended[status] or status == 'paused' then return 'gone' end
  if status == 'queued' and get('claim') and get('claim') ~= token then return 'gone' end
  if status == 'queued' and is_at_limit() then return 'held' end
  local memory_bytes = number('memory_bytes') or 0
  if not place.idle and memory_bytes > place.memory_left then return 'alone' end

  local checkpoint = get('checkpoint_step') or ''
  local alone = false
  if status == 'running' then
    local refused
    alone, refused = note_death(place, checkpoint)
    if refused then return refused end
  end
  local since = redis.call('ZSCORE', root .. ':waiting', id)
  complete_older_record()
  if number('run') > 0 then
    delete_uploads()
    drop_rows(tonumber(checkpoint) or 0)
  end
  local run = increase('run', 1)
  set('token', token, 'lease_expires_at', now + place.lease_ms, 'reported', 0)
  set('blame', place.idle and 'own' or 'shared')
  if get('yields') then unset('yields') end
  if run == 1 then
    set('started_at', now)
    append(event('started', 'Started.'))
  else
    renew_events()
    local from = checkpoint == '' and 'the beginning' or 'the checkpoint of step ' .. checkpoint
    append(event('resumed', 'Resumed from ' .. from .. '.', tonumber(checkpoint) or 0))
  end
  local version = place.arithmetic_version
  if run > 1 and arithmetic_version() ~= version then
    local message = 'The arithmetic version was ' .. arithmetic_version() .. ' and is ' ..
      version .. ' from here on.'
    append(event('arithmetic_changed', message, tonumber(checkpoint)))
  end
  compute_from(tonumber(checkpoint) or 0, version)
  set_status('running')
  if get('set') then begin_set() end
  return 'taken', taken(alone, since and now - since or -1)
end

-- Begins a job that was claimed. Returns what `taken` returns, or nothing if the job is not the
-- claim's any more, or must wait.
local function begin_claimed(record, token, place)
  enter(record)
  local outcome, facts = begin(token, place)
  if get('claim') == token then unclaim() end
  return facts, outcome
end
