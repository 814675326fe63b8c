-- Read by wrk: each thread stops after as many answers as it is told, and prints how many came with each status. wrk itself goes on to
-- wait for the end of its time, unless it is interrupted.

function init(arguments)
  wanted = tonumber(arguments[1])
  answers = 0
  by_status = {}
end

function response(status)
  by_status[status] = (by_status[status] or 0) + 1
  answers = answers + 1
  if answers == wanted then
    local counts = "answers"
    for code, count in pairs(by_status) do
      counts = counts .. " " .. code .. "=" .. count
    end
    print(counts)
    io.flush()
    wrk.thread:stop()
  end
end

function done(summary)
  local errors = summary.errors
  print("broken " .. errors.connect + errors.read + errors.write + errors.timeout)
end
