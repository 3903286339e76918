# What a channel says of an action for an anonymous id reaches the user that claimed it.
campaign hot.yaml times: 3 -> times: 1;slot: page_popup -> caps: [{scope: campaign, max: 1, per: 1h}]
0:00 bet id=a result=win anon=phone => SENT
0:01 identify id=i anon=phone user=ann
0:02 bet id=b result=win user=ann => CAP
deliver 0:03 hot failed => FAILED
0:04 bet id=c result=win user=ann => SENT
