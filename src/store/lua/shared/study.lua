-- What the scripts about studies share. It builds on the files before it. The record of a study is
-- no job's, but its owner and its id are found in its key in the same way.

-- Appends an event, a JSON object as text. If the study's webhook wants it, it goes to the outbox.
local function note(event)
  local text = string.format('{"created_at":%d,', now) .. string.sub(event, 2)
  local place = redis.call('RPUSH', job .. ':events', text)
  local wanted = get('webhook')
  if wanted and string.find(wanted, cjson.encode(cjson.decode(event).type), 1, true) then
    redis.call('RPUSH', root .. ':outbox', owner .. ' ' .. id .. ' ' .. place)
  end
  publish('event')
end
