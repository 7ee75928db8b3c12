#!lua flags=allow-oom
--[[
How full Redis is.

KEYS[1] the sums of what is promised

Returns {used, promised, limit or nil, what was refused last and would be still or nil}, in bytes
]]
local room = look_at_room()
-- A nil would end the list.
return { whole(room.used), whole(room.promised), room.limit and whole(room.limit), room.refused and whole(room.refused) or false }
