-- What the scripts about studies share. It builds on the files before it. The record of a study is
-- no job's, but its owner and its id are found in its key in the same way.

-- Appends an event, a JSON object as text.
local function note(event)
  local text = string.format('{"created_at":%d,', now) .. string.sub(event, 2)
  redis.call('RPUSH', job .. ':events', text)
  publish('event')
end
