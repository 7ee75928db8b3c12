-- Sets of models. A set is a job whose models are trained in shards: ranges of their numbers. It
-- builds on job.lua.
--
-- A shard has a record of its own, `<the set's key>.<number>`, so that it waits, is claimed, held,
-- given back and found dead as jobs are. It is in no list of its owner, has no events, and counts
-- for no limit: its set does. Its record is there as long as the shard is open. At its end the
-- script that ends it adds its counts to the set and deletes it. So a set of a million models takes
-- as little here as one of a thousand: at most OPEN_SHARDS shards are open at a time. The results
-- are files (data/files/result-files.ts).
--
-- A set may begin with a pooled model, of the rows of all keys. As long as `pooling` is in its
-- record, it is a job with one model in all that follows: it waits, is claimed, has checkpoints, is
-- paused and found dead as such. When that model is trained, the record becomes that of a set
-- (`begin_models`).
--
-- Fields of the set's record are explained in record.ts. `<set>:shards` has the numbers of the open
-- shards, and `<set>:todo` those that were given back before they ended.

-- Ended sets whose results are to be put together (conclude_set.lua).
local CONCLUDING = root .. ':concluding'

local function set_of_shard()
  return owned .. ':job:' .. get('set')
end

-- The next number without a record, or nil.
local function next_shard()
  local given_back = redis.call('LPOP', job .. ':todo')
  if given_back then return given_back end
  local next_ = number('next_shard')
  if next_ >= number('shards') then return nil end
  set('next_shard', next_ + 1)
  return whole(next_)
end

-- Opens as many shards as may be open. The entered job is the set, and stays it.
local function open_shards()
  local set_key, set_id = job, id
  local numbers = {}
  for _ = redis.call('SCARD', job .. ':shards'), OPEN_SHARDS - 1 do
    local shard = next_shard()
    if not shard then break end
    table.insert(numbers, shard)
  end
  if #numbers == 0 then return end
  redis.call('SADD', job .. ':shards', unpack(numbers))
  local taken_over = {}
  for _, name in ipairs({ 'priority', 'arithmetic_version', 'trace' }) do
    taken_over[name] = get(name)
  end
  local models, work, memory = get('shard_models'), get('shard_work_ms'), get('shard_memory_bytes')
  for _, shard in ipairs(numbers) do
    enter(set_key .. '.' .. shard)
    set('set', set_id, 'created_at', now, 'run', 0, 'reserved', 0, 'spent', 0,
      'total_steps', models, 'work_ms', work, 'memory_bytes', memory)
    for name, value in pairs(taken_over) do if value then set(name, value) end end
    redis.call('HSET', root .. ':open', id, owner)
    set_status('queued')
    wait_for_turn()
  end
  enter(set_key)
end

-- Deletes the record of the entered shard.
local function close_shard()
  unlist(get('status'))
  redis.call('HDEL', root .. ':open', id)
  redis.call('ZREM', root .. ':due', job)
  redis.call('ZREM', BEGUN, job)
  redis.call('SREM', set_of_shard() .. ':shards', string.match(id, '%d+$'))
  erase_record()
end

local OUTCOMES = { 'succeeded', 'failed', 'skipped' }

local function count_ended()
  local sum = 0
  for _, outcome in ipairs(OUTCOMES) do sum = sum + number('models_' .. outcome) end
  return sum
end

-- JSON has no other numbers.
local function finite(value)
  if value ~= value then return 0 end
  return math.max(-1.7e308, math.min(1.7e308, value))
end

-- How a metric is spread over two groups of models together (sets/distribution.ts).
local function together(a, b)
  local count, apart = a.count + b.count, b.mean - a.mean
  local share = b.count / count
  return {
    count = count,
    mean = finite(a.mean + apart * share),
    squares = finite(a.squares + b.squares + apart * apart * share * a.count),
    min = math.min(a.min, b.min),
    max = math.max(a.max, b.max),
  }
end

-- Adds the metrics of a shard to those so far. Returns the means.
local function add_metrics(of_shard)
  local all, means = cjson.decode(get('metrics_so_far') or '{}'), {}
  for name, moments in pairs(of_shard) do
    all[name] = all[name] and together(all[name], moments) or moments
  end
  if next(of_shard) then set('metrics_so_far', cjson.encode(all)) end
  for name, moments in pairs(all) do means[name] = moments.mean end
  return means
end

-- The progress of a set counts models. Its rate is that since the set last began to run.
local function count_models(result)
  local of_shard = cjson.decode(result)
  for _, outcome in ipairs(OUTCOMES) do increase('models_' .. outcome, of_shard[outcome]) end
  local ended_models = count_ended()
  increase('shards_ended', 1)
  increase('set_bytes', of_shard.bytes)
  use_bytes('dataset_bytes', of_shard.bytes)
  local seconds = math.max(0.001, (now - number('went_at')) / 1000)
  local rate = (ended_models - number('went_models')) / seconds
  -- Models that are trained again take away from it.
  local left = rate > 0 and (number('total_steps') - ended_models) / rate
  local means = add_metrics(of_shard.metrics)
  local progress = cjson.encode({
    step = ended_models, epoch = 0, train_loss = cjson.null, valid_loss = cjson.null,
    -- An empty table would become a list.
    metrics = next(means) and means or cjson.null,
    learning_rate = cjson.null, samples_per_second = cjson.null,
    models_per_second = rate > 0 and rate or cjson.null,
    eta_seconds = left and math.floor(left) or cjson.null,
  })
  set('updated_at', now, 'progress', progress)
  publish('progress')
end

-- Asks all open shards to stop. Those that no run holds are closed.
local function stop_shards(status)
  local set_key = job
  for _, shard in ipairs(redis.call('SMEMBERS', job .. ':shards')) do
    enter(set_key .. '.' .. shard)
    if lease_left_ms() == 0 then
      close_shard()
      redis.call('RPUSH', set_key .. ':todo', shard)
    else
      if get('status') ~= status then set_status(status) end
      redis.call('PUBLISH', root .. ':control', id .. ' ' .. status)
    end
  end
  enter(set_key)
end

-- Lets the set fail once its runs have stopped.
local function fail_set(failure)
  if get('set_error') then return end
  set('set_error', failure)
  stop_shards('cancelling')
end

-- The results of a set may not take its owner beyond the limit. What the set has is given back when
-- it fails, so that it keeps its owner from nothing else.
local function stay_within_limit()
  local limit = limit_of('dataset_bytes')
  local used = limit and used_bytes('dataset_bytes')
  if not limit or used <= limit then return end
  local message = 'With the results of this set its owner has %.0f bytes of datasets, and may ' ..
    'have %.0f (RAPPEL_OWNER_MAX_DATASET_BYTES). The %.0f models of %.0f that had ended took ' ..
    '%.0f bytes.'
  fail_set(cjson.encode({
    code = 'over_limit',
    message = string.format(message, used, limit, cjson.decode(get('progress')).step,
      number('total_steps'), number('set_bytes')),
    suggestion = 'Delete datasets, predictions or sets that you no longer need, or post a set ' ..
      'of fewer or smaller models.',
    step = cjson.null,
  }))
end

-- Does what is next for the entered set, once some of its shards are closed.
local function go_on()
  local status = get('status')
  if not status or ended[status] or status == 'paused' then return end
  local is_open = redis.call('SCARD', job .. ':shards') > 0
  if get('set_error') then
    if is_open then return end
    set('error', get('set_error'))
    append(event('failed', cjson.decode(get('set_error')).message))
    end_job('failed')
  elseif status == 'cancelling' then
    if is_open then return end
    append(event('cancelled', 'Cancelled.'))
    end_job('cancelled')
  elseif status == 'pausing' then
    if not is_open then pause('Paused.') end
  else
    open_shards()
    if number('shards_ended') == number('shards') then
      redis.call('ZADD', CONCLUDING, 'NX', now, job)
      redis.call('PUBLISH', root .. ':news:sets', 'progress')
    end
  end
end

-- The pooled model is trained, by the run with this token. What only its training needed goes.
local function begin_models(token)
  delete_uploads()
  for _, step in ipairs(redis.call('ZRANGE', job .. ':checkpoints', 0, -1)) do
    drop_checkpoint(step)
  end
  set('total_steps', get('pooling'), 'pooled_by', token,
    'went_at', now, 'went_models', 0)
  unset('pooling', 'pooled_spec', 'checkpoint_step', 'progress', 'lease_expires_at', 'token',
    'crashes', 'crash_step', 'crash_run')
  set_status(get('status'))
  go_on()
end

-- Queues a set. Returns whether a wake-up is needed.
local function queue_set()
  local is_trained = number('shards_ended') == number('shards')
  set_status(is_trained and 'running' or 'queued')
  go_on()
  return wake_up_needed()
end

-- Cancels or pauses a set: at once if no run holds one of its shards. `status`: what it is until
-- then. Returns its status.
local function stop_set(status, message)
  stop_shards(status)
  if redis.call('SCARD', job .. ':shards') > 0 and get('status') ~= status then
    append(event(status, message))
  end
  if get('status') ~= status then set_status(status) end
  go_on()
  return get('status')
end

-- What follows when a shard ends, or when a run gives it back because its set is to stop. After
-- this the entered job is one without a record.
end_shard = function(status)
  local shard, shard_key, set_key = string.match(id, '%d+$'), job, set_of_shard()
  local result, failure = get('result'), get('error')
  close_shard()
  enter(set_key)
  if status == 'succeeded' then
    count_models(result)
    stay_within_limit()
  else
    redis.call('RPUSH', job .. ':todo', shard)
    if status == 'failed' then fail_set(failure) end
  end
  go_on()
  enter(shard_key)
end

-- The first run of a shard begins its set.
local function begin_set()
  local shard_key = job
  enter(set_of_shard())
  if get('status') == 'queued' then
    if increase('run', 1) == 1 then
      set('started_at', now)
      append(event('started', 'Started.'))
    else
      append(event('resumed', 'Resumed with the models that have not ended.'))
    end
    set('went_at', now, 'went_models', count_ended())
    set_status('running')
  end
  enter(shard_key)
end
