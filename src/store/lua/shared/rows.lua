-- What the scripts share about rows of metrics. It builds on base.lua and room.lua.
--
-- A job's rows are a list of packed slices (rows.ts), in the order of their steps. A slice begins
-- with its first and its last step. What it holds after its last step does not count.

-- What earlier versions counted for a row besides its text.
local OLDER_ROW_BYTES = 100

local function slice_room(slice)
  return math.ceil(#slice * BLOB_GROWTH) + SLICE_BYTES
end

-- Deletes the slices after a step. Returns the last step that is left, or nil.
local function drop_slices(step)
  local list, room, tail = job .. ':rows', 0, nil
  while true do
    local slice = redis.call('LINDEX', list, -1)
    if not slice then break end
    local first, last = string.match(slice, '^(%d+) (%d+)')
    tail = tonumber(last)
    if tail <= tonumber(step) then break end
    tail = nil
    room = room + slice_room(slice)
    if tonumber(first) <= tonumber(step) then
      tail = tonumber(step)
      local cut = first .. ' ' .. whole(tail) .. string.sub(slice, #first + #last + 2)
      redis.call('LSET', list, -1, cut)
      room = room - slice_room(cut)
      break
    end
    redis.call('RPOP', list)
  end
  spend(-room)
  return tail
end

-- Deletes the rows after a step. Earlier versions wrote each row as a text, with its step as score.
local function drop_rows(step)
  drop_slices(step)
  local older, room = job .. ':metrics', 0
  for _, row in ipairs(redis.call('ZRANGEBYSCORE', older, '(' .. step, '+inf')) do
    room = room + text_room(row, OLDER_ROW_BYTES)
  end
  if room == 0 then return end
  redis.call('ZREMRANGEBYSCORE', older, '(' .. step, '+inf')
  spend(-room)
end

-- Writes slices of rows, in ARGV from `first` + 1 on. They replace all rows from their first step
-- on. ARGV[`first`] is the last step before them that the run has written, or ''. Ends the script
-- if its rows are not there: Redis has lost them.
local function put_rows(first)
  local slices = { unpack(ARGV, first + 1) }
  if #slices == 0 then return end
  local tail = drop_slices(string.match(slices[1], '^%d+') - 1)
  if ARGV[first] ~= '' and (tail or -1) < tonumber(ARGV[first]) then error({ err = 'GAP' }) end
  local room = 0
  for _, slice in ipairs(slices) do room = room + slice_room(slice) end
  redis.call('RPUSH', job .. ':rows', unpack(slices))
  spend(room)
end
