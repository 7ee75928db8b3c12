-- What the scripts share about events. It builds on base.lua and room.lua.
-- What those who follow the job should read again: 'event' or 'progress'. All are told once, at
-- the end.
local news

local function publish(what)
  news[what] = true
end

-- An element of the list of events is one event, or several that the run has packed (events.ts).
-- The field `packed_events` says how many events are before the first such element, and how many
-- more events than elements there are.
local function packed_events()
  local first, more = string.match(get('packed_events') or '', '^(%d+) (%d+)$')
  return first, tonumber(more or 0)
end

local function event_count()
  local _, more = packed_events()
  return redis.call('LLEN', job .. ':events') + more
end

-- The elements to be written, how many events they hold, and how many there are before them.
local elements, events_added, events_before

local function write_events()
  local list = job .. ':events'
  for first = 1, #elements, 1000 do
    redis.call('RPUSH', list, unpack(elements, first, math.min(first + 999, #elements)))
  end
  elements, events_added, events_before = {}, 0, nil
  for what in pairs(news) do redis.call('PUBLISH', root .. ':news:' .. id, what) end
  news = {}
end

local function events_until_now()
  events_before = events_before or event_count()
  return events_before + events_added
end

-- Puts `count` events into the list of elements. `bytes`: what the text of each takes. If the job's
-- webhook wants the events, the same script puts them into the outbox, so that each is sent.
local function add_element(element, type, count, bytes, room)
  local messages = {}
  local wanted = get('webhook')
  if wanted and string.find(wanted, cjson.encode(type), 1, true) then
    local place = events_until_now()
    for _ = 1, count do
      place = place + 1
      redis.call('RPUSH', root .. ':outbox', owner .. ' ' .. id .. ' ' .. place)
      messages[place] = bytes + (number('message_bytes') or 0)
      room = room + messages[place]
    end
  end
  table.insert(elements, element)
  events_added = events_added + count
  if not spend(room) then return end
  tell('bytes', room)
  -- The bytes count until the message is delivered or given up (notice_settled.lua).
  for event, held in pairs(messages) do redis.call('HSET', job .. ':messages', event, held) end
end

-- Adds the run and the time to an event, a JSON object as text.
local function record_event(event, run)
  local head = string.format('{"run":%d,"created_at":%d,', run or number('run'), now)
  local text = head .. string.sub(event, 2)
  add_element(text, cjson.decode(text).type, 1, #text, text_room(text, EVENT_BYTES))
  publish('event')
end

-- Says, once, that the run has written too many events of a type.
local function tell_of_omitted(type, run)
  record_event(cjson.encode({
    type = 'events_omitted',
    message = 'This run has written as many events of the type ' .. type ..
      ' as it may; further ones are left out.',
    step = cjson.null,
    data = { type = type },
  }), run)
end

-- Appends an event. A run may write only so many events of a type (room.lua).
local function append(event, run)
  -- The events of a shard are its set's.
  if get('set') then return end
  local type = cjson.decode(event).type
  local place = count_event(type)
  if place == 'within' then record_event(event, run) end
  if place == 'first_omitted' then tell_of_omitted(type, run) end
end

-- Appends events that the run has packed: `<type> <count> <bytes of their texts>\n…`. Of too many
-- only the first are kept.
local function append_packed(packed)
  local type, count, bytes, content = string.match(packed, '^([%l_]+) (%d+) (%d+)(\n.*)$')
  local kept, place = 0, 'within'
  while place == 'within' and kept < tonumber(count) do
    place = count_event(type)
    if place == 'within' then kept = kept + 1 end
  end
  if kept > 0 then
    local first, more = packed_events()
    first = first or events_until_now()
    local element = string.format('%s %d %d %d', type, kept, number('run'), now) .. content
    local room = math.ceil(#element * BLOB_GROWTH) + EVENT_BYTES
    add_element(element, type, kept, math.ceil(bytes / count), room)
    set('packed_events', whole(first) .. ' ' .. whole(more + kept - 1))
    publish('event')
  end
  if place == 'first_omitted' then tell_of_omitted(type) end
end

local function event(type, message, step)
  local step_or_null = step or cjson.null
  return cjson.encode({ type = type, message = message, step = step_or_null, data = cjson.null })
end
