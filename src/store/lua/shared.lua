-- What the scripts share; database.ts puts it after the first line of each.
--
-- A script gets one key, that of a job's (or dataset's) record, and derives every other from it: the hash tag puts them in one slot. Documents (specs,
-- metrics, results) pass through as the text that JavaScript wrote, since cjson rounds numbers to 14 digits.
local root, owner, kind, id = string.match(KEYS[1], '^(.-):owner:(.-):(%l+):(.+)$')
local job = KEYS[1]
local owned = root .. ':owner:' .. owner

local CHUNK_BYTES = 4 * 1024 * 1024
-- How long a chunk lives that no checkpoint holds: while it is being uploaded, and after it was let go (a download may be going on).
local LOOSE_MS = 600000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function get(field)
  return redis.call('HGET', job, field)
end

local function number(field)
  return tonumber(get(field))
end

local function set(...)
  redis.call('HSET', job, ...)
end

-- A list of names and values, as HGETALL gives it, as a table.
local function fields(flat)
  local named = {}
  for i = 1, #flat, 2 do named[flat[i]] = flat[i + 1] end
  return named
end

local ended = { succeeded = true, failed = true, cancelled = true }

-- How long the lease still lasts; 0 if there is none or it has lapsed.
local function lease_left_ms()
  return math.max(0, (number('lease_expires_at') or 0) - now)
end

-- Whether `run` and `token` are the latest. A run may write even after its lease lapsed, as long as nobody took over.
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

-- Appends an event: a JSON object as text, to which its run and time are added here. If the job's webhook wants it, it goes into the outbox in the same
-- breath: whatever was recorded will be sent.
local function append(event, run)
  local stamp = string.format('{"run":%d,"created_at":%d,', run or number('run'), now)
  local place = redis.call('RPUSH', job .. ':events', stamp .. string.sub(event, 2))
  local wanted = get('webhook')
  if wanted and string.find(wanted, cjson.encode(cjson.decode(event).type), 1, true) then
    redis.call('RPUSH', root .. ':outbox', owner .. ' ' .. id .. ' ' .. place)
  end
  tell('event')
end

local function event(type, message, step)
  return cjson.encode({ type = type, message = message, step = step or cjson.null, data = cjson.null })
end

-- Adds rows of metrics: step, JSON, step, JSON, … in ARGV from `first` on.
local function add_metrics(first)
  for i = first, #ARGV, 2 do redis.call('ZADD', job .. ':metrics', ARGV[i], ARGV[i + 1]) end
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

-- Lets a blob go: it stays for a while for the downloads in progress, or until the room is needed (upload.lua).
local function drop_blob(blob, bytes)
  each_chunk(blob, bytes, function(chunk) redis.call('PEXPIRE', chunk, LOOSE_MS) end)
  redis.call('ZADD', root .. ':dropped', now + LOOSE_MS, bytes .. ' ' .. job .. ':chunk:' .. blob .. ':')
  redis.call('PEXPIRE', root .. ':dropped', LOOSE_MS)
end

local function delete_blob(blob, bytes)
  each_chunk(blob, bytes, function(chunk) redis.call('UNLINK', chunk) end)
end

-- Whether there is room for so many bytes of checkpoints, which may fill a share of Redis' `maxmemory`. Blobs that were let go are
-- deleted, the oldest first, when their room is needed.
local function make_room(bytes, share)
  local memory = redis.call('INFO', 'memory')
  local limit = tonumber(string.match(memory, 'maxmemory:(%d+)'))
  local used = tonumber(string.match(memory, 'used_memory:(%d+)'))
  local dropped = root .. ':dropped'
  redis.call('ZREMRANGEBYSCORE', dropped, '-inf', now)
  while limit > 0 and used + bytes > limit * share do
    local oldest = redis.call('ZPOPMIN', dropped)[1]
    if not oldest then return false end
    local freed, chunk = string.match(oldest, '^(%d+) (.+)$')
    for i = 0, math.ceil(freed / CHUNK_BYTES) - 1 do redis.call('DEL', chunk .. i) end
    used = used - freed
  end
  return true
end

-- Deletes the blobs that were let go and are still there.
local function delete_dropped()
  local dropped = root .. ':dropped'
  local mine = ' ' .. job .. ':chunk:'
  for _, member in ipairs(redis.call('ZRANGE', dropped, 0, -1)) do
    local place, last = string.find(member, mine, 1, true)
    if place then
      delete_blob(string.sub(member, last + 1, -2), tonumber(string.sub(member, 1, place - 1)))
      redis.call('ZREM', dropped, member)
    end
  end
end

local function delete_uploads()
  for blob, bytes in pairs(fields(redis.call('HGETALL', job .. ':uploads'))) do delete_blob(blob, tonumber(bytes)) end
  redis.call('DEL', job .. ':uploads')
end

local function drop_checkpoint(step)
  local key = job .. ':checkpoint:' .. step
  local blob = redis.call('HMGET', key, 'blob', 'bytes')
  drop_blob(blob[1], tonumber(blob[2]))
  redis.call('DEL', key)
  redis.call('ZREM', job .. ':checkpoints', step)
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

-- Says that the steps after `step` are computed by this version of the arithmetic, whatever was said of them before. A job that begins
-- anew began under it.
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

-- Writes the manifest of an uploaded state. A step has one checkpoint: written again, it unites the reasons.
-- `state`: step, blob, bytes, sha256, kinds, metrics, score. Returns whether it is new.
local function commit_checkpoint(state)
  local key = job .. ':checkpoint:' .. state.step
  local before = fields(redis.call('HGETALL', key))
  if before.blob == state.blob then return false end
  keep_blob(state.blob, state.bytes)
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

-- Takes the job out of the lists of a status, or puts it into them: the owner's lists, the count over all owners, and who waits since when.
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
-- Owners take turns, and each has one job in a turn. `<root>:turn` says which is on; a job gets the one after it, or after the last that its owner was
-- given, but no more turns later than its owner has jobs waiting: those of cancelled jobs are not waited for. When nobody waits, turns begin anew.
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

-- What an owner may have of `what`; nil: as much as there is.
local function limit_of(what)
  return tonumber(redis.call('HGET', root .. ':limits', what))
end

-- Ends the script if the owner has so many that `more` would be over the limit.
local function stay_within(what, used, more)
  local limit = limit_of(what)
  if limit and used + more > limit then
    error({ err = string.format('LIMITED %s %.0f %.0f %.0f', what, limit, used, more) })
  end
end

-- What the owner's datasets, or jobs, take together.
local function used_bytes(what)
  return tonumber(redis.call('HGET', owned .. ':usage', what) or 0)
end

local function use_bytes(what, more)
  if redis.call('HINCRBY', owned .. ':usage', what, more) == 0 then redis.call('HDEL', owned .. ':usage', what) end
end

-- What the job counts for in its owner's checkpoint bytes: what it may need until it ends, what it has from then on.
local function count_bytes(bytes)
  use_bytes('checkpoint_bytes', bytes - (number('counted_bytes') or 0))
  set('counted_bytes', bytes)
end

-- Ends the job: frees its lease and its dataset, and of its checkpoints keeps the last.
local function end_job(status)
  set_status(status)
  set('finished_at', now)
  redis.call('HDEL', job, 'lease_expires_at')
  redis.call('HDEL', root .. ':open', id)
  redis.call('ZADD', root .. ':ended', now, job)
  local dataset = get('dataset')
  if dataset then redis.call('SREM', owned .. ':dataset:' .. dataset .. ':jobs', id) end
  delete_uploads()
  drop_origin()
  for _, step in ipairs(redis.call('ZRANGE', job .. ':checkpoints', 0, -2)) do drop_checkpoint(step) end
  local kept = 0
  for _, step in ipairs(redis.call('ZRANGE', job .. ':checkpoints', 0, -1)) do
    kept = kept + redis.call('HGET', job .. ':checkpoint:' .. step, 'bytes')
  end
  for _, which in ipairs({ 'final', 'best' }) do kept = kept + (redis.call('HGET', job .. ':model:' .. which, 'bytes') or 0) end
  count_bytes(kept)
end

local function pause(message)
  append(event('paused', message, number('checkpoint_step')))
  set_status('paused')
  redis.call('HDEL', job, 'lease_expires_at', 'token')
end

-- Finishes what a run was asked to do, once no run holds the job; `how` goes into the event's message.
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
