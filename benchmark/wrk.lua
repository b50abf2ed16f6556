-- wrk: a path and an X-Request-Id that never repeat within a run, and the result as one line of JSON.
-- The script's arguments are the number at which it begins to count, and what paths begin with.
local counter, path

function init(arguments)
  counter = tonumber(arguments[1] or "0")
  path = arguments[2] or "item"
  host = wrk.host .. ":" .. wrk.port
end

function request()
  counter = counter + 1
  -- a multiplier coprime to 2^32 scatters the digits and visits every number once
  local id = string.format("%08x%08x", (counter * 2654435761) % 4294967296, counter)
  return "GET /" .. path .. "/" .. id .. " HTTP/1.1\r\nHost: " .. host .. "\r\nX-Request-Id: " .. id .. "\r\n\r\n"
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "bytes": %d, "seconds": %.6f, "p50_us": %d, "p90_us": %d, "p99_us": %d, "p999_us": %d, "errors": %d}\n',
    summary.requests, summary.bytes, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency:percentile(99.9),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
