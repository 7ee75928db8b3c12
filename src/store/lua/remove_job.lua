#!lua flags=allow-oom
--[[
Deletes a job that has ended, with everything that belongs to it, the predictions with its model
included.

KEYS[1] the job's record

Returns 'removed', 'wrong_status', 'in_use' if a prediction with its model has not ended, 'missing'
]]
local status = get('status')
if not status then return 'missing' end
if not ended[status] then return 'wrong_status' end
local predictions = redis.call('ZRANGE', job .. ':predictions', 0, -1)
for _, prediction in ipairs(predictions) do
  if redis.call('HEXISTS', root .. ':open', prediction) == 1 then return 'in_use' end
end

-- Deletes the messages to its webhook that wait, will be tried again or were sent a short while
-- ago (src/webhooks). A deleted job sends nothing more. Its room, which is given back below,
-- included theirs. A message that is being sent now is left to its sender.
local function delete_messages()
  local queue = root .. ':webhooks:'
  for event = 1, number('events') or event_count() do
    local message = id .. '-' .. event
    for _, list in ipairs({ 'prioritized', 'delayed', 'completed' }) do
      if redis.call('ZREM', queue .. list, message) == 1 then
        redis.call('DEL', queue .. message)
      end
    end
  end
end

-- Tells the archive that its entry of the job, if there is one, is void.
local function delete_archived()
  redis.call('ZREM', root .. ':unarchived', job)
  if redis.call('EXISTS', root .. ':archive') == 0 or get('model_job') then return end
  -- A set is never there.
  if get('shards') then return end
  redis.call('RPUSH', root .. ':buried', owner .. ' ' .. id)
  if not get('archived') then return end
  count_archived(get('archived'), -1)
  remove_dropped(get('left_bytes') .. ' ' .. job)
end

-- Deletes the record that `job` and `id` name now.
local function delete_record()
  -- Dropped blobs expire by themselves some time after the end.
  if now - number('finished_at') < LOOSE_MS then delete_dropped() end
  delete_messages()
  delete_archived()
  each_result_key(job, function(key) redis.call('UNLINK', key) end)
  count_bytes(0)
  if number('result_bytes') then count_result(0) end
  if is_set() then
    use_bytes('dataset_bytes', -number('set_bytes'))
    redis.call('HDEL', root .. ':results', id)
  end
  local idempotency = get('idempotency') and owned .. ':idempotency:' .. get('idempotency')
  -- The key may have expired and been used again.
  if idempotency and redis.call('HGET', idempotency, 'job') == id then
    redis.call('DEL', idempotency)
  end
  redis.call('ZREM', root .. ':ended', job)
  redis.call('ZREM', owned .. ':jobs', id)
  unlist(get('status'))
  erase_record()
  redis.call('DEL', job .. ':messages', job .. ':predictions')
end

local model_job = get('model_job')
if model_job then redis.call('ZREM', owned .. ':job:' .. model_job .. ':predictions', id) end
delete_record()
for _, prediction in ipairs(predictions) do
  enter(owned .. ':job:' .. prediction)
  delete_record()
end
return 'removed'
