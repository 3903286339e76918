campaign hot.yaml times: 3 -> times: 1
0:00 bet result=win id=a => SENT hot
deliver 0:01 hot pushed => PUSHED hot
deliver 0:02 hot seen => SEEN hot {"delivered_ms":1767225602000}
again
again
deliver 0:03 hot clicked => CLICKED hot
deliver 0:04 hot dismissed => DISMISSED hot
deliver 0:05 hot expired    # no news: it was pushed
deliver 0:06 hot failed => FAILED hot
deliver 0:07 hot seen
0:08 bet result=win id=b => SENT hot
deliver 0:09 hot seen => SEEN hot     # of another action
deliver 0:10 hot lost => INVALID {"error":"status: \"lost\" is none of}
