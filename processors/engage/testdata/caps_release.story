# A place under a cap is given back when nothing was shown, and only then.
campaign gated.yaml caps: [] -> caps: [{scope: campaign, max: 1, per: 1h}]
0:00 bet id=a => SENT hot
0:01 bet id=b => CAP hot
deliver 0:02 hot failed => FAILED hot
0:03 bet id=c => SENT hot
deliver 0:40 hot expired => EXPIRED hot
0:41 bet id=d => SENT hot
deliver 0:42 hot pushed => PUSHED hot
deliver 0:43 hot failed => FAILED hot
0:44 bet id=e => CAP hot
60:40 bet id=f => CAP hot {"until_ms":1767229241000}
60:41 bet id=g => SENT hot
# Answers may come in any order: it was shown after all.
deliver 60:42 hot expired => EXPIRED hot
deliver 60:43 hot seen => SEEN hot
60:44 bet id=h => CAP hot
