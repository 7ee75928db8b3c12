-- What the scripts share about events. It builds on base.lua and room.lua.
-- What those who follow the job should read again: 'event' or 'progress'. All are told once, at
-- the end.
local news = {}

local function publish(what)
  news[what] = true
end

-- The events to be written, and how many there are before them.
local events, events_before = {}, nil

local function write_events()
  local list = job .. ':events'
  for first = 1, #events, 1000 do
    redis.call('RPUSH', list, unpack(events, first, math.min(first + 999, #events)))
  end
  events, events_before = {}, nil
  for what in pairs(news) do redis.call('PUBLISH', root .. ':news:' .. id, what) end
  news = {}
end

local function record_event(text)
  table.insert(events, text)
  local type = cjson.decode(text).type
  local room, message, place = text_room(text, EVENT_BYTES), 0, nil
  local wanted = get('webhook')
  if wanted and string.find(wanted, cjson.encode(type), 1, true) then
    events_before = events_before or redis.call('LLEN', job .. ':events')
    place = events_before + #events
    redis.call('RPUSH', root .. ':outbox', owner .. ' ' .. id .. ' ' .. place)
    message = #text + (number('message_bytes') or 0)
  end
  if not spend(room + message) then return end
  tell('bytes', room + message)
  -- The bytes count until the message is delivered or given up (notice_settled.lua).
  if message > 0 then redis.call('HSET', job .. ':messages', place, message) end
end

-- Appends an event, a JSON object as text, and adds its run and time. If the job's webhook wants
-- the event, the same script puts it into the outbox, so that every recorded event is sent. A run
-- may write only so many events of a type (room.lua).
local function append(event, run)
  local type = cjson.decode(event).type
  local place = count_event(type)
  if place == 'omitted' then return end
  if place == 'first_omitted' then
    event = cjson.encode({
      type = 'events_omitted',
      message = 'This run has written as many events of the type ' .. type ..
        ' as it may; further ones are left out.',
      step = cjson.null,
      data = { type = type },
    })
  end
  local head = string.format('{"run":%d,"created_at":%d,', run or number('run'), now)
  record_event(head .. string.sub(event, 2))
  publish('event')
end

local function event(type, message, step)
  local step_or_null = step or cjson.null
  return cjson.encode({ type = type, message = message, step = step_or_null, data = cjson.null })
end
