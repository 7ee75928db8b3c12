#!lua flags=allow-oom
--[[
Says how full Redis is.

KEYS[1] the hash of the sums, `{rappel}:room`

Returns {used, promised, limit or nil, the least that was refused and would still be refused, or
  nil}, in bytes
]]
local room = measure_room()
-- A nil would end the list.
return {
  whole(room.used),
  whole(room.promised),
  room.limit and whole(room.limit),
  room.refused and whole(room.refused) or false,
}
