-- What all scripts share is in this folder. database.ts inserts its files, this one, room.lua and
-- job.lua, after the first line of each script, and the numbers of room-numbers.ts before them.
--
-- A script gets one key, that of a job's (or an upload's) record. It derives every other key from
-- it: the hash tag puts them all in one slot. Documents (specs, metrics, results) stay the text
-- that JavaScript wrote, because cjson rounds numbers to 14 digits.
local root = string.match(KEYS[1], '^{%l+}')
local owner, kind, id, job, owned

-- Makes a record the one that the functions below are about. A script for several jobs calls it for
-- each.
local function enter(record)
  owner, kind, id = string.match(record, ':owner:(.-):(%l+):(.+)$')
  job = record
  owned = root .. ':owner:' .. (owner or '')
end

enter(KEYS[1])

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
