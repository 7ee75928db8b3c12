-- What the scripts share, of jobs and their owners. It builds on base.lua and room.lua.
local ended = { succeeded = true, failed = true, cancelled = true }

-- How long the lease still lasts; 0 if there is none or it has lapsed.
local function lease_left_ms()
  return math.max(0, (number('lease_expires_at') or 0) - now)
end

-- Whether `run` and `token` are the latest. A run may write even after its lease lapsed, as long as
-- nobody took over.
local function holds(run, token)
  return get('token') == token and get('run') == run
end

-- Ends the script unless the run may write.
local function fence(run, token)
  if not holds(run, token) or ended[get('status')] then error({ err = 'FENCED' }) end
end

-- Tells whoever follows the job what to read anew: 'event' or 'progress'.
local function tell(what)
  redis.call('PUBLISH', root .. ':news:' .. id, what)
end

local function record_event(text)
  local place = redis.call('RPUSH', job .. ':events', text)
  local type = cjson.decode(text).type
  local room, message = text_room(text, EVENT_BYTES), 0
  local wanted = get('webhook')
  if wanted and string.find(wanted, cjson.encode(type), 1, true) then
    redis.call('RPUSH', root .. ':outbox', owner .. ' ' .. id .. ' ' .. place)
    message = #text + (number('message_bytes') or 0)
  end
  if not spend(room + message) then return end
  redis.call('HINCRBY', job .. ':told', 'bytes', room + message)
  -- Until the message is delivered or given up (notice_settled.lua).
  if message > 0 then redis.call('HSET', job .. ':messages', place, message) end
end

-- Appends an event: a JSON object as text, to which its run and time are added here. If the job's
-- webhook wants it, this script also puts it into the outbox, so that whatever was recorded is
-- sent. A run may tell only so many events of a type (room.lua).
local function append(event, run)
  local type = cjson.decode(event).type
  local told = count_event(type)
  if told == 'omitted' then return end
  if told == 'last' then
    local message = 'This run has told as many events of the type ' .. type .. ' as it may; further ones are left out.'
    event = cjson.encode({ type = 'events_omitted', message = message, step = cjson.null, data = { type = type } })
  end
  record_event(string.format('{"run":%d,"created_at":%d,', run or number('run'), now) .. string.sub(event, 2))
  tell('event')
end

local function event(type, message, step)
  return cjson.encode({ type = type, message = message, step = step or cjson.null, data = cjson.null })
end

-- Adds rows of metrics: step, JSON, step, JSON, … in ARGV from `first` on.
local function add_metrics(first)
  local room = 0
  for i = first, #ARGV, 2 do
    if redis.call('ZADD', job .. ':metrics', ARGV[i], ARGV[i + 1]) == 1 then room = room + text_room(ARGV[i + 1], ROW_BYTES) end
  end
  spend(room)
end

-- Forgets the rows after a step.
local function drop_rows(step)
  local room = 0
  for _, row in ipairs(redis.call('ZRANGEBYSCORE', job .. ':metrics', '(' .. step, '+inf')) do
    room = room + text_room(row, ROW_BYTES)
  end
  redis.call('ZREMRANGEBYSCORE', job .. ':metrics', '(' .. step, '+inf')
  spend(-room)
end

local function each_chunk(blob, bytes, visit)
  for i = 0, math.ceil(bytes / CHUNK_BYTES) - 1 do
    visit(job .. ':chunk:' .. blob .. ':' .. i, math.min(CHUNK_BYTES, bytes - i * CHUNK_BYTES))
  end
end

-- A chunk of a blob that is not there, or nil.
local function missing_chunk(blob, bytes)
  local missing
  each_chunk(blob, bytes, function(chunk, size)
    if redis.call('STRLEN', chunk) ~= size then missing = chunk end
  end)
  return missing
end

-- Makes what was uploaded as `blob` permanent; ends the script if any of it is missing.
local function keep_blob(blob, bytes)
  local missing = missing_chunk(blob, bytes)
  if missing then error({ err = 'INCOMPLETE ' .. missing }) end
  each_chunk(blob, bytes, function(chunk) redis.call('PERSIST', chunk) end)
  redis.call('HDEL', job .. ':uploads', blob)
end

local function delete_blob(blob, bytes)
  each_chunk(blob, bytes, function(chunk) redis.call('UNLINK', chunk) end)
end

-- Lets a blob go: it stays for a while for the downloads in progress, or until the room is needed
-- (room.lua).
local function drop_blob(blob, bytes)
  each_chunk(blob, bytes, function(chunk) redis.call('PEXPIRE', chunk, LOOSE_MS) end)
  local dropped = bytes .. ' ' .. job .. ':chunk:' .. blob .. ':'
  add_dropped(dropped)
  local list = job .. ':dropped'
  redis.call('RPUSH', list, dropped)
  redis.call('PEXPIRE', list, LOOSE_MS)
  -- For each blob that comes two that have gone are forgotten, or the list would grow for as long
  -- as the job runs.
  for _ = 1, 2 do
    if redis.call('ZSCORE', LOOSE, redis.call('LINDEX', list, 0)) then break end
    redis.call('LPOP', list)
  end
  spend(-blob_room(bytes))
end

-- Deletes the blobs that were let go and are still there.
local function delete_dropped()
  for _, dropped in ipairs(redis.call('LRANGE', job .. ':dropped', 0, -1)) do remove_dropped(dropped) end
  redis.call('DEL', job .. ':dropped')
end

-- Deletes what was uploaded and is not committed; `purpose`: of one purpose alone.
local function delete_uploads(purpose)
  for blob, bytes in pairs(fields(redis.call('HGETALL', job .. ':uploads'))) do
    if not purpose or string.match(blob, '%a+$') == purpose then
      delete_blob(blob, tonumber(bytes))
      redis.call('HDEL', job .. ':uploads', blob)
      spend(-blob_room(bytes))
    end
  end
end

-- What the manifest of a checkpoint takes.
local MANIFEST_BYTES = 900

local function drop_checkpoint(step)
  local key = job .. ':checkpoint:' .. step
  local blob = redis.call('HMGET', key, 'blob', 'bytes')
  -- A manifest that is damaged may be gone.
  if blob[1] then drop_blob(blob[1], tonumber(blob[2])) end
  redis.call('DEL', key)
  redis.call('ZREM', job .. ':checkpoints', step)
  spend(-MANIFEST_BYTES)
end

-- Lets go of the state that a forked job began with.
local function drop_origin()
  local origin = get('origin')
  if not origin then return end
  drop_blob('origin', cjson.decode(origin).bytes)
  redis.call('HDEL', job, 'origin')
end

-- The changes of the arithmetic's version while the job trained: where, from which, to which.
local function arithmetic_changes()
  return cjson.decode(get('arithmetic_changes') or '[]')
end

-- The version of the arithmetic that computes the job's next step.
local function arithmetic_version()
  local changes = arithmetic_changes()
  return #changes > 0 and changes[#changes].to or number('arithmetic_version')
end

-- Says that the steps after `step` are computed by this version of the arithmetic, whatever was
-- said of them before. A job that begins anew began under it.
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
  if #changes > 0 then set('arithmetic_changes', cjson.encode(changes)) else redis.call('HDEL', job, 'arithmetic_changes') end
end

-- Takes the job back to the newest checkpoint that it still has, which is returned, or to its
-- beginning.
local function resume_from_newest()
  local newest = redis.call('ZRANGE', job .. ':checkpoints', -1, -1)[1]
  if newest then set('checkpoint_step', newest) else redis.call('HDEL', job, 'checkpoint_step') end
  compute_from(tonumber(newest) or 0, arithmetic_version())
  return newest
end

-- Writes the manifest of an uploaded state. A step has one checkpoint: written again, it unites the
-- reasons. `state`: step, blob, bytes, sha256, kinds, metrics, score. Returns whether it is new.
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
  redis.call('HSET', key, 'run', get('run'), 'blob', state.blob, 'bytes', state.bytes, 'sha256', state.sha256, 'kinds', kinds,
    'metrics', state.metrics, 'score', state.score, 'arithmetic_version', arithmetic_version(), 'created_at', now)
  redis.call('ZADD', job .. ':checkpoints', state.step, state.step)
  set('checkpoint_step', state.step)
  return true
end

-- What an idempotency key was used for: {'replayed', id} if for this body, {'mismatch', id} if for
-- another; nil if for nothing.
local function used_before(key, body)
  if key == '' then return nil end
  local used = redis.call('HMGET', owned .. ':idempotency:' .. key, 'job', 'body_sha256')
  return used[1] and { used[2] == body and 'replayed' or 'mismatch', used[1] }
end

-- Takes the job out of the lists of a status, or puts it into them: the owner's lists, the count
-- over all owners, and who waits since when.
local function unlist(status)
  redis.call('ZREM', owned .. ':jobs:' .. status, id)
  if redis.call('HINCRBY', root .. ':statuses', status, -1) == 0 then redis.call('HDEL', root .. ':statuses', status) end
  redis.call('ZREM', root .. ':waiting', id)
  redis.call('ZREM', owned .. ':waiting', id)
end

local function list(status)
  redis.call('ZADD', owned .. ':jobs:' .. status, 0, id)
  redis.call('HINCRBY', root .. ':statuses', status, 1)
  if status == 'queued' then
    redis.call('ZADD', root .. ':waiting', now, id)
    redis.call('ZADD', owned .. ':waiting', -(number('priority') or 0), id)
  end
end

local function set_status(status)
  local before = get('status')
  if before then unlist(before) end
  list(status)
  set('status', status)
end

-- How many jobs the owner has in these statuses.
local function count(...)
  local total = 0
  for _, status in ipairs({ ... }) do total = total + redis.call('ZCARD', owned .. ':jobs:' .. status) end
  return total
end

-- Queues the job, and returns its turn.
--
-- Owners take turns, and each has one job in a turn. `<root>:turn` says which is on; a job gets the
-- one after it, or after the last that its owner was given, but no more turns later than its owner
-- has jobs waiting: those of cancelled jobs are not waited for. When nobody waits, turns begin
-- anew.
local function take_turn()
  if redis.call('EXISTS', root .. ':waiting') == 0 then redis.call('DEL', root .. ':turn', root .. ':turns') end
  local on = tonumber(redis.call('GET', root .. ':turn') or 0)
  local given = tonumber(redis.call('HGET', root .. ':turns', owner) or 0)
  local turn = math.min(math.max(on, given), on + count('queued')) + 1
  redis.call('HSET', root .. ':turns', owner, turn)
  set('turn', turn)
  set_status('queued')
  return turn
end

-- A job whose record is older than the promises of room. Its states were counted, and it must end
-- as others do.
local function adopt()
  if number('reserved') then return end
  set('reserved', number('counted_bytes') or 0, 'spent', 0, 'event_limits', '{"evaluated":1000,"checkpoint_committed":1000}')
  promise(number('reserved'))
  for _, step in ipairs(redis.call('ZRANGE', job .. ':checkpoints', 0, -1)) do
    spend(blob_room(redis.call('HGET', job .. ':checkpoint:' .. step, 'bytes')) + MANIFEST_BYTES)
  end
  local origin = get('origin')
  if origin then spend(blob_room(cjson.decode(origin).bytes)) end
end

-- Ends the job: frees its lease, its dataset and the room it was promised, and of its checkpoints
-- keeps the last.
local function end_job(status)
  adopt()
  set_status(status)
  local failure = get('error')
  redis.call('HINCRBY', root .. ':ends', failure and status .. ':' .. cjson.decode(failure).code or status, 1)
  set('finished_at', now)
  redis.call('HDEL', job, 'lease_expires_at')
  redis.call('HDEL', root .. ':open', id)
  redis.call('ZADD', root .. ':ended', now, job)
  local dataset = get('dataset')
  if dataset then redis.call('SREM', owned .. ':dataset:' .. dataset .. ':jobs', id) end
  delete_uploads()
  drop_origin()
  local start, kept = get('keep_start'), number('keep_after_end') or 1
  for _, step in ipairs(redis.call('ZRANGE', job .. ':checkpoints', 0, -1 - kept)) do
    if step ~= start then drop_checkpoint(step) end
  end
  settle_room()
end

local function pause(message)
  append(event('paused', message, number('checkpoint_step')))
  set_status('paused')
  redis.call('HDEL', job, 'lease_expires_at', 'token')
end

-- Finishes what a run was asked to do, once no run holds the job; `how` goes into the event's
-- message.
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
