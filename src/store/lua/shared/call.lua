-- How a script is called. It builds on the files before it.

-- Forgets what the call before has left in variables.
local function forget_call()
  job, record, changed = nil, nil, {}
  added, limits, forgot_expired = {}, nil, false
  told, told_changed, event_limits = nil, false, nil
  news, elements, events_added, events_before = {}, {}, 0, nil
  carried = {}
end

local function register(name, flags, script)
  local function call(keys, arguments)
    KEYS, ARGV = keys, arguments
    forget_call()
    enter(KEYS[1])
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
    -- Redis takes nothing back when a script fails. So what belongs to the part that was done is
    -- written too. In Redis, `pcall` turns the table of an error into its text.
    local done, answer = pcall(script)
    write_all()
    write_sums()
    if not done then error({ err = answer }) end
    return answer
  end
  register_function({ function_name = name .. SUFFIX, callback = call, flags = flags })
end

