-- What the scripts share about jobs, their leases and their owners. It builds on the files before
-- it.

-- How long the lease will last; 0 if there is none or it has lapsed.
local function lease_left_ms()
  return math.max(0, (number('lease_expires_at') or 0) - now)
end

-- Whether `run` and `token` are the latest. A run may write even after its lease lapsed, as long
-- as no other run has taken the job.
local function holds(run, token)
  return get('token') == token and get('run') == run
end

-- Ends the script unless the run may write.
local function fence(run, token)
  if not holds(run, token) or ended[get('status')] then error({ err = 'FENCED' }) end
end

-- The keys of datasets, one after the other. `ids` are separated by spaces.
local function dataset_keys(ids)
  local next_id = string.gmatch(ids, '%S+')
  return function()
    local dataset = next_id()
    return dataset and owned .. ':dataset:' .. dataset
  end
end

local function each_chunk(blob, bytes, visit)
  for i = 0, math.ceil(bytes / CHUNK_BYTES) - 1 do
    visit(job .. ':chunk:' .. blob .. ':' .. i, math.min(CHUNK_BYTES, bytes - i * CHUNK_BYTES))
  end
end

-- The key of a chunk that the blob lacks, or nil.
local function missing_chunk(blob, bytes)
  local missing
  each_chunk(blob, bytes, function(chunk, size)
    if redis.call('STRLEN', chunk) ~= size then missing = chunk end
  end)
  return missing
end

-- The small files that came with the script: blob → bytes.
local carried

-- Makes an uploaded or carried blob permanent. Ends the script if any of its chunks is missing.
local function keep_blob(blob, bytes)
  if carried[blob] then
    redis.call('SET', job .. ':chunk:' .. blob .. ':0', carried[blob])
    spend(blob_room(bytes))
    return
  end
  local missing = missing_chunk(blob, bytes)
  if missing then error({ err = 'INCOMPLETE ' .. missing }) end
  each_chunk(blob, bytes, function(chunk) redis.call('PERSIST', chunk) end)
  redis.call('HDEL', job .. ':uploads', blob)
end

local function delete_blob(blob, bytes)
  each_chunk(blob, bytes, function(chunk) redis.call('UNLINK', chunk) end)
end

-- Drops a blob. It stays for a while, so that downloads can finish, or until its room is needed
-- (room.lua).
local function drop_blob(blob, bytes)
  each_chunk(blob, bytes, function(chunk) redis.call('PEXPIRE', chunk, LOOSE_MS) end)
  local dropped = bytes .. ' ' .. job .. ':chunk:' .. blob .. ':'
  add_dropped(dropped)
  local list = job .. ':dropped'
  redis.call('RPUSH', list, dropped)
  redis.call('PEXPIRE', list, LOOSE_MS)
  -- For each blob that is added, up to two that are gone are taken out. Else the list would grow
  -- as long as the job runs.
  for _ = 1, 2 do
    if redis.call('ZSCORE', LOOSE, redis.call('LINDEX', list, 0)) then break end
    redis.call('LPOP', list)
  end
  spend(-blob_room(bytes))
end

-- Deletes the dropped blobs that are still there.
local function delete_dropped()
  for _, dropped in ipairs(redis.call('LRANGE', job .. ':dropped', 0, -1)) do
    remove_dropped(dropped)
  end
  redis.call('DEL', job .. ':dropped')
end

-- Deletes the uploads that are not committed: all, or those for one `purpose`.
local function delete_uploads(purpose)
  if not get('uploads') then return end
  for blob, bytes in pairs(fields(redis.call('HGETALL', job .. ':uploads'))) do
    if not purpose or string.match(blob, '%a+$') == purpose then
      delete_blob(blob, tonumber(bytes))
      redis.call('HDEL', job .. ':uploads', blob)
      spend(-blob_room(bytes))
    end
  end
end

-- Takes in the small files that came with the script, in ARGV from `first` on, so that nothing was
-- sent before. `keep_blob` writes them. Ends the script if Redis is full. Returns where the
-- arguments after them begin.
local function take_carried(blobs, first)
  local room = 0
  for i, blob in ipairs(blobs) do
    local content = ARGV[first + i - 1]
    carried[blob] = content
    room = room + blob_room(#content)
    -- What was uploaded before for the same purpose never will be committed.
    delete_uploads(string.match(blob, '%a+$'))
  end
  if room > 0 then make_room_for_upload(room) end
  return first + #blobs
end

local function drop_checkpoint(step)
  local key = job .. ':checkpoint:' .. step
  local blob = redis.call('HMGET', key, 'blob', 'bytes')
  -- The manifest may be gone, if Redis lost it.
  if blob[1] then drop_blob(blob[1], tonumber(blob[2])) end
  redis.call('DEL', key)
  redis.call('ZREM', job .. ':checkpoints', step)
  spend(-MANIFEST_BYTES)
end

-- Drops what the job began with.
local function drop_origin()
  local origin = get('origin')
  if not origin then return end
  drop_blob('origin', cjson.decode(origin).bytes)
  unset('origin')
end

-- The changes of the arithmetic version while the job trained: at which step, from which, to
-- which.
local function arithmetic_changes()
  return cjson.decode(get('arithmetic_changes') or '[]')
end

-- The arithmetic version that computes the job's next step.
local function arithmetic_version()
  local changes = arithmetic_changes()
  return #changes > 0 and changes[#changes].to or number('arithmetic_version')
end

-- Records that this arithmetic version computes the steps after `step`, and replaces what was
-- recorded of them before. If `step` is 0 the job begins with this version.
local function compute_from(step, version)
  local changes = {}
  local from = step == 0 and version or number('arithmetic_version')
  set('arithmetic_version', from)
  for _, change in ipairs(arithmetic_changes()) do
    if change.step < step then
      table.insert(changes, change)
      from = change.to
    end
  end
  if from ~= version then table.insert(changes, { step = step, from = from, to = version }) end
  if #changes > 0 then
    set('arithmetic_changes', cjson.encode(changes))
  else
    unset('arithmetic_changes')
  end
end

-- Lets the job resume from the newest checkpoint that it still has, or from its beginning. Returns
-- that checkpoint's step, or nil.
local function resume_from_newest()
  local newest = redis.call('ZRANGE', job .. ':checkpoints', -1, -1)[1]
  if newest then set('checkpoint_step', newest) else unset('checkpoint_step') end
  compute_from(tonumber(newest) or 0, arithmetic_version())
  return newest
end

-- Writes the manifest of an uploaded state. A step has one checkpoint: if it is written again, it
-- gets the kinds of both. `state`: step, blob, bytes, sha256, kinds, metrics, score. Returns
-- whether the state is new.
local function commit_checkpoint(state)
  local key = job .. ':checkpoint:' .. state.step
  local before = fields(redis.call('HGETALL', key))
  if before.blob == state.blob then return false end
  keep_blob(state.blob, state.bytes)
  if not before.blob then spend(MANIFEST_BYTES) end
  local kinds = state.kinds
  if before.blob then
    drop_blob(before.blob, tonumber(before.bytes))
    for other in string.gmatch(before.kinds, '%a+') do
      if not string.find(kinds, other, 1, true) then kinds = other .. ',' .. kinds end
    end
  end
  redis.call('HSET', key, 'run', get('run'), 'blob', state.blob, 'bytes', state.bytes,
    'sha256', state.sha256, 'kinds', kinds, 'metrics', state.metrics, 'score', state.score,
    'arithmetic_version', arithmetic_version(), 'created_at', now)
  redis.call('ZADD', job .. ':checkpoints', state.step, state.step)
  set('checkpoint_step', state.step)
  return true
end

-- What an idempotency key was used for: {'replayed', id} if it was this body, {'mismatch', id} if
-- it was another; nil if the key is unused.
local function used_before(key, body)
  if key == '' then return nil end
  local used = redis.call('HMGET', owned .. ':idempotency:' .. key, 'job', 'body_sha256')
  return used[1] and { used[2] == body and 'replayed' or 'mismatch', used[1] }
end

-- Notes that the key was used for this job, and for how long that is kept, in milliseconds.
local function note_use(key, body, kept)
  local idempotency = owned .. ':idempotency:' .. key
  redis.call('HSET', idempotency, 'job', id, 'body_sha256', body)
  redis.call('PEXPIRE', idempotency, kept)
end

-- Completes a record that was written before room was promised, so that the job can end as others
-- do. Of such a job only the states were counted.
local function complete_older_record()
  if number('reserved') then return end
  local limits = cjson.encode({ evaluated = MAX_EVENTS, checkpoint_committed = MAX_EVENTS })
  set('reserved', number('counted_bytes') or 0, 'spent', 0, 'event_limits', limits)
  promise(number('reserved'))
  for _, step in ipairs(redis.call('ZRANGE', job .. ':checkpoints', 0, -1)) do
    spend(blob_room(redis.call('HGET', job .. ':checkpoint:' .. step, 'bytes')) + MANIFEST_BYTES)
  end
  local origin = get('origin')
  if origin then spend(blob_room(cjson.decode(origin).bytes)) end
end

-- Sets how many bytes the result of a prediction takes of what its owner's datasets may have.
local function count_result(bytes)
  use_bytes('dataset_bytes', bytes - number('result_bytes'))
  set('result_bytes', whole(bytes))
  if bytes == 0 then redis.call('HDEL', root .. ':results', id) end
end

-- Drops what only an open set needs. The results of a set that does not succeed are of no use:
-- their files are removed (src/set-ends.ts).
local function end_set(status)
  redis.call('DEL', job .. ':shards', job .. ':todo', job .. ':damaged')
  redis.call('ZREM', root .. ':concluding', job)
  if status == 'succeeded' then return end
  use_bytes('dataset_bytes', -number('set_bytes'))
  set('set_bytes', 0)
  redis.call('HDEL', root .. ':results', id)
  redis.call('ZADD', root .. ':discarded', now, job)
  redis.call('PUBLISH', root .. ':news:sets', 'progress')
end

-- Ends a shard of a set, or takes it back (shared/set.lua).
local end_shard

-- Ends the job: frees its lease, its datasets, its weights and the room that it was promised. Of
-- its checkpoints it keeps the last, or as many as the spec says.
local function end_job(status)
  if get('set') then return end_shard(status) end
  complete_older_record()
  set_status(status)
  local failure = get('error')
  local field = failure and status .. ':' .. cjson.decode(failure).code or status
  add(root .. ':ends', field, 1)
  set('finished_at', now)
  unset('lease_expires_at')
  redis.call('HDEL', root .. ':open', id)
  redis.call('ZREM', root .. ':due', job)
  redis.call('ZADD', root .. ':ended', now, job)
  if get('shards') then
    end_set(status)
  elseif not get('model_job') then
    redis.call('ZADD', root .. ':unarchived', now, job)
  end
  for dataset in dataset_keys(get('dataset') or '') do
    redis.call('SREM', dataset .. ':jobs', id)
  end
  local weights = get('weights')
  if weights then redis.call('SREM', owned .. ':weights:' .. weights .. ':jobs', id) end
  if number('result_bytes') then
    local result = get('result')
    count_result(result and cjson.decode(result).bytes or 0)
  end
  delete_uploads()
  drop_origin()
  local start, kept = get('keep_start'), number('keep_after_end') or 1
  for _, step in ipairs(redis.call('ZRANGE', job .. ':checkpoints', 0, -1 - kept)) do
    if step ~= start then drop_checkpoint(step) end
  end
  settle_room()
end

local function pause(message)
  if get('set') then return end_shard('paused') end
  append(event('paused', message, number('checkpoint_step')))
  set_status('paused')
  unset('lease_expires_at', 'token')
end

-- Cancels or pauses the job if its run was asked to do so and no run holds the job any more. `how`
-- goes into the event's message.
local function settle(how)
  local status = get('status')
  if lease_left_ms() > 0 then return end
  if status == 'cancelling' then
    append(event('cancelled', 'Cancelled' .. how .. '.'))
    end_job('cancelled')
  elseif status == 'pausing' then
    pause('Paused' .. how .. '.')
  end
end

-- Writes what the script changed of the record that it is about. The sums are written at the end.
write_all = function()
  write_events()
  write_told()
  write_record()
end
