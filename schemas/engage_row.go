package schemas

// Newer are the encoded fields of an EngageRow that this version does not know; they belong behind the
// others.
func (x *EngageRow) Newer() []byte { return x.unknownFields }

// Newer are the encoded fields of a TriggerRow that this version does not know.
func (x *TriggerRow) Newer() []byte { return x.unknownFields }

// KeepNewer makes b what Newer returns, without a copy; an encoding then has it behind the known fields.
func (x *TriggerRow) KeepNewer(b []byte) { x.unknownFields = b }

// Newer are the encoded fields of a TriggerPart that this version does not know.
func (x *TriggerPart) Newer() []byte { return x.unknownFields }

// KeepNewer makes b what Newer returns, without a copy; an encoding then has it behind the known fields.
func (x *TriggerPart) KeepNewer(b []byte) { x.unknownFields = b }
