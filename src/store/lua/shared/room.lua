-- Room: how much of Redis' memory is used, promised and free. room.ts explains the design, and
-- computes how much a job needs. The numbers that both use are in room-numbers.ts.

-- The share of `maxmemory` that may be filled. The rest is for what comes and goes: buffers of
-- connections, BullMQ's lists.
local SHARE = 0.7
-- How long a chunk lives that no record holds: one that is being uploaded, or one of a dropped
-- blob, which somebody may be downloading.
local LOOSE_MS = 600000

local ROOM = root .. ':room'
local LOOSE = root .. ':loose'
local PENDING = root .. ':pending'

-- The bytes that a text takes in Redis.
local function text_room(text, added)
  return math.ceil(#text * TEXT_GROWTH) + added
end

-- The bytes that a blob takes in Redis.
local function blob_room(bytes)
  return math.ceil(bytes * BLOB_GROWTH) + CHUNK_KEY_BYTES * math.ceil(bytes / CHUNK_BYTES)
end

local function whole(number)
  -- Redis takes no -0.
  return string.format('%.0f', number + 0)
end

-- What is to be added to sums: hash → name → number.
local added

-- Adds to a sum. A sum of 0 is deleted.
local function add(sums, name, more)
  added[sums] = added[sums] or {}
  added[sums][name] = (added[sums][name] or 0) + more
end

-- Must be called before a sum is read.
local function write_sums()
  local all = added
  added = {}
  for sums, names in pairs(all) do
    for name, more in pairs(names) do
      if more ~= 0 and redis.call('HINCRBY', sums, name, whole(more)) == 0 then
        redis.call('HDEL', sums, name)
      end
    end
  end
end

local function promise(bytes)
  add(ROOM, 'promised', bytes)
end

-- What an owner may have. It is read once.
local limits

-- How much of `what` an owner may have; nil if there is no limit.
local function limit_of(what)
  limits = limits or fields(redis.call('HGETALL', root .. ':limits'))
  return tonumber(limits[what])
end

-- How many bytes the owner's datasets, or jobs, take together.
local function used_bytes(what)
  write_sums()
  return tonumber(redis.call('HGET', owned .. ':usage', what) or 0)
end

local function use_bytes(what, more, whose)
  add(root .. ':owner:' .. (whose or owner) .. ':usage', what, more)
end

-- Ends the script if `more` would bring the owner over the limit. `used`: what the owner has, or a
-- function that counts it.
local function stay_within(what, used, more)
  local limit = limit_of(what)
  if not limit then return end
  if type(used) == 'function' then used = used() end
  if used + more > limit then
    error({ err = string.format('LIMITED %s %.0f %.0f %.0f', what, limit, used, more) })
  end
end

-- Sets how many bytes of its owner's limit the job takes: what it may need until it ends, then
-- what it has.
local function count_bytes(bytes)
  use_bytes('checkpoint_bytes', bytes - (number('counted_bytes') or 0))
  set('counted_bytes', whole(bytes))
end

-- Counts an entry of the archive, or takes it out of the counts (`sign` -1): for its segment, for
-- all, for its owner.
local function count_archived(place, sign)
  local segment, bytes = string.match(place, '^(%S+) %d+ %d+ (%d+)')
  add(root .. ':segments', segment, sign * bytes)
  add(root .. ':archive', 'bytes', sign * bytes)
  add(root .. ':archive', 'jobs', sign)
  use_bytes('archived_bytes', sign * bytes)
end

-- What the record of an archived job takes besides the fields that it keeps, with its places in
-- lists.
local ARCHIVED_RECORD_BYTES = 1000

-- Writes the record of an archived job (archive/kept.ts). `before`: the bytes of its owner's limit
-- that it took.
local function write_archived(place, status, kept, packed, event_count, left_bytes, before)
  local function field(name, value) return name .. '\0' .. value .. '\0' end
  kept = kept .. field('events', event_count) .. field('left_bytes', left_bytes)
  local room = ARCHIVED_RECORD_BYTES + text_room(kept, FIELD_BYTES) + text_room(packed, FIELD_BYTES)
  use_bytes('checkpoint_bytes', room - before)
  count_archived(place, 1)
  set('status', status, 'archived', place, 'packed', packed,
    'kept', kept .. field('counted_bytes', whole(room)))
end

-- Moves bytes of a job from promised to held. A negative number moves them back. Returns false if
-- the job has ended: then nothing is promised to it.
local function spend(bytes)
  local reserved = number('reserved')
  if not reserved then return false end
  local before = number('spent')
  local after = math.max(0, before + bytes)
  set('spent', whole(after))
  promise(math.max(0, reserved - after) - math.max(0, reserved - before))
  return true
end

-- Notes a dropped blob in the list of all, which is in order of their expiry, and adds to the sum
-- of their bytes.
local function add_dropped(dropped)
  redis.call('ZADD', LOOSE, now + LOOSE_MS, dropped)
  add(ROOM, 'loose', string.match(dropped, '^%d+'))
end

-- Visits the keys of the results of a job that has ended: files, manifests, rows and events.
local function each_result_key(of, visit)
  local function visit_file(key)
    local blob = redis.call('HMGET', key, 'blob', 'bytes')
    if not blob[1] then return end
    for i = 0, math.ceil(blob[2] / CHUNK_BYTES) - 1 do
      visit(of .. ':chunk:' .. blob[1] .. ':' .. i)
    end
    visit(key)
  end
  for _, step in ipairs(redis.call('ZRANGE', of .. ':checkpoints', 0, -1)) do
    visit_file(of .. ':checkpoint:' .. step)
  end
  for _, which in ipairs({ 'final', 'best' }) do visit_file(of .. ':model:' .. which) end
  for _, name in ipairs({ 'events', 'rows', 'metrics', 'checkpoints' }) do
    visit(of .. ':' .. name)
  end
end

-- Deletes a dropped blob, or what an archived job left behind, if it is still there. Returns its
-- bytes.
local function remove_dropped(dropped)
  if redis.call('ZREM', LOOSE, dropped) == 0 then return 0 end
  local bytes, what = string.match(dropped, '^(%d+) (.+)$')
  if string.sub(what, -1) == ':' then
    for i = 0, math.ceil(bytes / CHUNK_BYTES) - 1 do redis.call('DEL', what .. i) end
  else
    each_result_key(what, function(key) redis.call('DEL', key) end)
  end
  add(ROOM, 'loose', -bytes)
  return tonumber(bytes)
end

-- Gives back what was promised to a job that was not created.
local function give_back(pending)
  if redis.call('ZREM', PENDING, pending) == 0 then return false end
  local bytes, whose = string.match(pending, '^(%d+) (.+) ')
  promise(-bytes)
  use_bytes('checkpoint_bytes', -bytes, whose)
  return true
end

local forgot_expired

-- Takes expired entries out of the lists, once. The number is bounded, so that no script takes
-- long; scripts call this often enough.
local function forget_expired(limit)
  if forgot_expired then return end
  forgot_expired = true
  for _, dropped in ipairs(redis.call('ZRANGEBYSCORE', LOOSE, '-inf', now, 'LIMIT', 0, limit)) do
    remove_dropped(dropped)
  end
  for _, pending in ipairs(redis.call('ZRANGEBYSCORE', PENDING, '-inf', now, 'LIMIT', 0, limit)) do
    give_back(pending)
  end
end

-- What Redis holds, without dropped blobs, which may be deleted at any time; what is promised
-- besides; and how much both may be together (nil: there is no limit).
local function measure_room()
  forget_expired(1000)
  write_sums()
  local memory = redis.call('INFO', 'memory')
  local function of(name) return tonumber(string.match(memory, name .. ':(%d+)')) end
  local maximum = of('maxmemory')
  local sums = redis.call('HMGET', ROOM, 'promised', 'loose', 'refused')
  local promised, loose = tonumber(sums[1] or 0), tonumber(sums[2] or 0)
  local room = {
    memory = of('used_memory'),
    maximum = maximum,
    promised = promised,
    limit = maximum > 0 and math.floor(maximum * SHARE),
  }
  room.used = math.max(0, room.memory - loose)
  room.free = room.limit and room.limit - room.used - promised
  local refused = tonumber(sums[3])
  -- A need that does not even fit into an empty store does not show how full it is.
  local obsolete = refused and (not room.free or refused <= room.free or refused > room.limit)
  if obsolete then redis.call('HDEL', ROOM, 'refused') else room.refused = refused end
  return room
end

local function has_room(bytes)
  local free = measure_room().free
  return not free or bytes <= free
end

-- Ends the script unless so many bytes can be promised to a job of the owner. Notes the refusal
-- until there is room again.
local function assert_room(bytes)
  stay_within('checkpoint_bytes', function() return used_bytes('checkpoint_bytes') end, bytes)
  local room = measure_room()
  if not room.free or bytes <= room.free then return end
  if not room.refused or bytes < room.refused then
    redis.call('HSET', ROOM, 'refused', whole(bytes))
  end
  error({ err = string.format('FULL %.0f %.0f %.0f', bytes, math.max(0, room.free), room.limit) })
end

-- The same for a job that the archive will hold at its end.
local function assert_room_for_job(bytes)
  stay_within('archived_bytes', function() return used_bytes('archived_bytes') end, bytes)
  assert_room(bytes)
end

-- Deletes dropped blobs, the oldest first, until so many bytes fit, or none is left. `room`: what
-- was measured just before.
local function make_room(bytes, room)
  room = room or measure_room()
  local memory = room.memory
  while room.limit and memory + bytes > room.limit do
    local oldest = redis.call('ZRANGE', LOOSE, 0, 0)[1]
    if not oldest then return end
    memory = memory - remove_dropped(oldest)
  end
end

-- Makes room for an upload that a script carries. Ends the script where Redis would refuse the
-- upload if it came by itself.
local function make_room_for_upload(bytes)
  local unspent = number('reserved') and number('reserved') - number('spent') or 0
  local room = measure_room()
  local free = bytes <= unspent or not room.free or bytes <= room.free
  if not free or (room.maximum > 0 and room.memory > room.maximum) then
    error({ err = 'OOM there is no room for the files of this script' })
  end
  make_room(bytes, room)
end

-- Events of these types happen once in a job, or because somebody asked for something.
local unlimited_events = {
  created = true,
  started = true,
  succeeded = true,
  failed = true,
  cancelled = true,
  diverged = true,
  webhook_failed = true,
}

-- How many events of each type this run has written, and `bytes`: the field `told` of the record.
local told, told_changed
local event_limits

local function told_of(what)
  if not told then
    told = {}
    for name, sum in string.gmatch(get('told') or '', '(%S+) (%d+)') do
      told[name] = tonumber(sum)
    end
  end
  return told[what] or 0
end

local function tell(what, more)
  local sum = told_of(what) + more
  told[what] = sum
  told_changed = true
  return sum
end

local function write_told()
  if told_changed then
    local texts = {}
    for what, sum in pairs(told) do table.insert(texts, what .. ' ' .. whole(sum)) end
    set('told', table.concat(texts, ' '))
  end
  told, told_changed, event_limits = nil, false, nil
end

local function forget_told()
  told, told_changed = {}, false
  unset('told')
end

-- Counts an event of this type. Returns `within` if the run may still write it, `first_omitted` if
-- it is the first one that must be left out, and `omitted` for all after that.
local function count_event(type)
  if unlimited_events[type] or not number('reserved') then return 'within' end
  event_limits = event_limits or cjson.decode(get('event_limits'))
  local beyond = tell(type, 1) - (event_limits[type] or OTHER_EVENTS)
  return beyond <= 0 and 'within' or beyond == 1 and 'first_omitted' or 'omitted'
end

-- Lets a run that repeats the work of an earlier one repeat its events, if there is room.
local function renew_events()
  local bytes = told_of('bytes')
  if bytes == 0 or not has_room(bytes) then return end
  local limit = limit_of('checkpoint_bytes')
  if limit and used_bytes('checkpoint_bytes') + bytes > limit then return end
  forget_told()
  local unspent = number('reserved') - number('spent')
  local reserved = number('reserved') + bytes
  promise(math.max(0, unspent + bytes) - math.max(0, unspent))
  set('reserved', whole(reserved))
  count_bytes(reserved)
end

-- Ends the promise to a job. From then on the job takes what it has of its owner's limit.
local function settle_room()
  promise(-math.max(0, number('reserved') - number('spent')))
  count_bytes(number('spent'))
  unset('reserved', 'spent', 'event_limits', 'message_bytes', 'keep_most')
  forget_told()
  -- If a process of another release made the sum wrong, it is put right here.
  if redis.call('EXISTS', root .. ':open', PENDING) == 0 then
    write_sums()
    redis.call('HDEL', ROOM, 'promised')
  end
end
