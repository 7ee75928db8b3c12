-- What all scripts share is in this folder. library.ts puts it, the numbers of room-numbers.ts and
-- all scripts into one library of Redis functions. Redis keeps the library's variables from call to
-- call. So call.lua sets all variables that calls change, before each call.
--
-- A script gets one key, that of a job's (or an upload's) record. It derives every other key from
-- it: the hash tag puts them all in one slot. Documents (specs, metrics, results) stay the text
-- that JavaScript wrote, because cjson rounds numbers to 14 digits.
--
-- A command costs more than the few lines of Lua around it, and one script may change a sum or
-- tell of an event a hundred times. So scripts work on copies, and `write_all` (job.lua) writes at
-- the end what changed: the record's fields (here), the sums and the counts of events (room.lua),
-- the events and the news of them (events.lua).
local KEYS, ARGV
local owner, kind, id, job, owned
-- The time, in milliseconds since 1970.
local now
-- The fields of the record that were read or changed (false: the record lacks it), and those to be
-- written.
local record, changed
local write_all

-- Makes a record the one that the functions below are about. A script for several jobs calls it for
-- each.
local function enter(key)
  if job then write_all() end
  owner, kind, id = string.match(key, ':owner:(.-):(%l+):(.+)$')
  job = key
  owned = root .. ':owner:' .. (owner or '')
  record, changed = nil, {}
end

-- The fields that scripts need which begin, end or change a job. They are read together. None of
-- them is large.
local COMMON = {
  'status', 'run', 'token', 'lease_expires_at', 'reserved', 'spent', 'counted_bytes', 'reported',
  'event_limits', 'webhook', 'message_bytes', 'checkpoint_step', 'priority', 'kept', 'archived',
  'claim', 'yields', 'memory_bytes', 'work_ms', 'trace', 'arithmetic_version',
  'arithmetic_changes', 'dataset', 'weights', 'uploads', 'origin', 'error', 'keep_start',
  'keep_after_end', 'result_bytes', 'packed_events', 'told',
}

local function read_record()
  if record then return end
  record = {}
  local values = redis.call('HMGET', job, unpack(COMMON))
  for i, name in ipairs(COMMON) do record[name] = values[i] end
  -- The fields that the record of an archived job keeps are one value, so that they take little.
  for name, value in string.gmatch(record.kept or '', '(%Z+)%z(%Z*)%z') do
    record[name] = record[name] or value
  end
end

local function get(field)
  read_record()
  if record[field] == nil then record[field] = redis.call('HGET', job, field) end
  return record[field]
end

-- The values of these fields. Those that were not read before are read together.
local function get_all(names)
  read_record()
  local missing, values = {}, {}
  for _, name in ipairs(names) do
    if record[name] == nil then table.insert(missing, name) end
  end
  if #missing > 0 then
    for i, value in ipairs(redis.call('HMGET', job, unpack(missing))) do
      record[missing[i]] = value
    end
  end
  for i, name in ipairs(names) do values[i] = record[name] end
  return values
end

local function number(field)
  return tonumber(get(field))
end

local function change(field, value)
  read_record()
  record[field] = value
  changed[field] = true
end

-- Sets fields of the record: name, value, …
local function set(...)
  local given = { ... }
  for i = 1, #given, 2 do
    local value = given[i + 1]
    if type(value) == 'number' then value = string.format('%.17g', value) end
    change(given[i], value)
  end
end

-- Takes fields out of the record.
local function unset(...)
  for _, field in ipairs({ ... }) do change(field, false) end
end

-- Adds to a field, and returns the sum.
local function increase(field, more)
  local sum = (number(field) or 0) + more
  set(field, sum)
  return sum
end

local function write_record()
  local present, absent = {}, {}
  for field in pairs(changed) do
    if record[field] then
      table.insert(present, field)
      table.insert(present, record[field])
    else
      table.insert(absent, field)
    end
  end
  if #present > 0 then redis.call('HSET', job, unpack(present)) end
  if #absent > 0 then redis.call('HDEL', job, unpack(absent)) end
  changed = {}
end

local function erase_record()
  changed = {}
  redis.call('DEL', job)
end

-- The list of the owner's uploads of a kind.
local function uploads_of(kind)
  return owned .. (kind == 'dataset' and ':datasets' or ':weights')
end

-- Turns a list of names and values, as HGETALL returns it, into a table.
local function fields(flat)
  local named = {}
  for i = 1, #flat, 2 do named[flat[i]] = flat[i + 1] end
  return named
end
