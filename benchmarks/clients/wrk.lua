-- Sends signed bodies, one a line of the file named after "--", each once; starts again from the top if they run out.
local bodies, turn = {}, 0

function init(arguments)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json; charset=utf-8"
  for line in io.lines(arguments[1]) do
    bodies[#bodies + 1] = wrk.format(nil, nil, nil, line)
  end
end

function request()
  turn = turn % #bodies + 1
  return bodies[turn]
end

function done(summary)
  io.write(string.format('{"events": %d, "seconds": %.6f}\n', summary.requests, summary.duration / 1e6))
end
