; Part of vbr.asm: reads records, attributes and index nodes of NTFS into fixed buffers.
; What a routine does not promise to keep is lost.

; Offsets of NTFS fields, bytes
RECORD_SEQUENCE equ 0x10                ; file record
RECORD_FIRST    equ 0x14                ; word: offset of the first attribute
RECORD_FLAGS    equ 0x16                ; bit 0: in use, bit 1: directory
RECORD_USED     equ 0x18                ; dword: bytes
RECORD_BASE     equ 0x20                ; reference of the base record, 0 in a base record

ATTR_LENGTH     equ 0x04                ; dword
ATTR_NONRES     equ 0x08
ATTR_NAME       equ 0x09                ; byte: length of the name
ATTR_FLAGS      equ 0x0C
VALUE_LENGTH    equ 0x10                ; dword; resident
VALUE_OFFSET    equ 0x14                ; word
LOWEST_VCN      equ 0x10                ; non-resident
HIGHEST_VCN     equ 0x18
RUNS_OFFSET     equ 0x20                ; word
DATA_SIZE       equ 0x30
VALID_SIZE      equ 0x38

ENTRY_LENGTH    equ 0x04                ; word; attribute list entry
ENTRY_NAME      equ 0x06                ; byte: length of the name
ENTRY_VCN       equ 0x08
ENTRY_RECORD    equ 0x10                ; reference: 48-bit record number, 16-bit sequence number

NODE_USED       equ 0x04                ; dword; index node header
KEY_LENGTH      equ 0x08                ; word; index entry
KEY_FLAGS       equ 0x0C                ; bit 0: has a child, bit 1: last
KEY_NAME_LENGTH equ 0x50                ; byte
KEY_NAME        equ 0x52

DATA            equ 0x80
INDEX_ROOT      equ 0x90
ALLOCATION      equ 0xA0
ATTRIBUTE_LIST  equ 0x20

; A stream is an attribute that may be in pieces, spread over several records by an attribute list.
PIECE           equ 0                   ; word: piece at hand, 0 none
BASE            equ 2                   ; word: base record
LIST            equ 4                   ; word: attribute list, 0 none
LIST_END        equ 6                   ; word
EXTENSION       equ 8                   ; word: buffer for extension records
NUMBER          equ 10                  ; dword: the base record's number
TYPE            equ 14                  ; dword
STREAM_SIZE     equ 18

; unit: AL = clusters per record, negative: 2^-n bytes -> EAX = sectors, 1..8
unit:   movsx eax, al
        test eax, eax
        js .power
        mul dword [cluster]
        jmp .check
.power: neg eax
        mov cl, al
        sub cl, 9
        mov eax, 1
        shl eax, cl
.check: cmp eax, 8
        ja damage
        test eax, eax
        jz damage
        ret

; sectors: EAX = clusters -> EAX = sectors. ECX kept
sectors:
        mul dword [cluster]
        jc damage
        ret

; fixup: SI = record, CX = sectors, EAX = signature: checks and undoes the update sequence. All registers kept
fixup:  pusha
        cmp [si], eax
        jne damage
        mov bx, [si + 4]
        cmp bx, 512 - 2 - 2 * 9         ; lies in the first sector
        ja damage
        mov ax, [si + 6]
        dec ax
        cmp ax, cx
        jne damage
        add bx, si
        mov dx, [bx]
.next:  add bx, 2
        add si, 512
        cmp [si - 2], dx                ; else a torn write
        jne damage
        mov ax, [bx]
        mov [si - 2], ax
        loop .next
        popa
        ret

; accept: SI = file record just read: checks it. SI kept
accept: mov cx, [record]
        mov eax, 'FILE'
        call fixup
        shl cx, 9
        movzx ecx, cx
        cmp [si + RECORD_USED], ecx
        ja damage
        test byte [si + RECORD_FLAGS], 1
        jz damage
        ret

; base: SI = file record: must not be an extension record. All registers kept
base:   cmp dword [si + RECORD_BASE], 0
        jne damage
        ret

; current: SI = file record, DX = sequence number of the reference to it: must agree. All registers kept
current:
        cmp [si + RECORD_SEQUENCE], dx
        jne damage
        ret

; rdrec: EAX = record number, DI = buffer -> SI = the buffer with the record, fixed up. BX kept
; The record lands elsewhere first: DI may hold the piece of $MFT that says where the record is.
rdrec:  push bx
        push di
        mul dword [record]
        jc damage
        mov ecx, [record]
        movzx edi, byte [nesting]
        shl edi, 12
        add edi, LANDING
        push di
        mov bx, mft
        call rdattr
        pop si
        pop di
        mov cx, [record]
        shl cx, 7
        push di
        push ds
        push word LANDING >> 4
        pop ds
        rep movsd
        pop ds
        pop si
        call accept
        pop bx
        ret

; name: EAX = attribute type -> CL = length of the name wanted: none, or "$I30" for indexes
name:   mov cl, 0
        cmp eax, INDEX_ROOT
        jb .done
        mov cl, 4
.done:  ret

; find: SI = file record, EAX = attribute type, EDX = lowest VCN -> SI = attribute; CF = 1: none. EAX, EDX, BX kept
find:   call name
        mov di, si
        add di, [si + RECORD_USED]
        add si, [si + RECORD_FIRST]
.next:  mov bp, di
        sub bp, si
        jbe damage
        cmp bp, 4
        jb damage
        cmp dword [si], -1
        je .none
        cmp bp, [si + ATTR_LENGTH]
        jb damage
        cmp word [si + ATTR_LENGTH], 0x18
        jb damage
        cmp [si], eax
        jne .skip
        cmp [si + ATTR_NAME], cl
        jne .skip
        test byte [si + ATTR_NONRES], 1
        jz .resident
        cmp word [si + ATTR_LENGTH], 0x40
        jb damage
        cmp [si + LOWEST_VCN], edx
        je .done
.skip:  add si, [si + ATTR_LENGTH]
        jmp .next
.resident:
        test edx, edx
        jnz .skip
        movzx ecx, word [si + VALUE_OFFSET]
        add ecx, [si + VALUE_LENGTH]
        jc damage
        movzx ebp, word [si + ATTR_LENGTH]
        cmp ecx, ebp
        ja damage
.done:  clc
        ret
.none:  stc
        ret

; open: BX = stream, SI = base record, ECX = its number, EAX = attribute type, DX = buffer for extension records,
; DI = buffer for the attribute list -> SI = first piece; CF = 1: no such attribute. BX kept
; open_file: the same with the buffers of the file -> BX = file
open_file:
        mov bx, file
        mov dx, FILE_EXTENSION
        mov di, FILE_LIST
open:   mov [bx + BASE], si
        mov [bx + TYPE], eax
        mov [bx + NUMBER], ecx
        mov [bx + EXTENSION], dx
        mov word [bx + LIST], 0
        mov word [bx + PIECE], 0
        push di
        mov eax, ATTRIBUTE_LIST
        xor edx, edx
        call find
        pop di
        jnc .list
        mov si, [bx + BASE]
        mov eax, [bx + TYPE]
        call find
        mov [bx + PIECE], si
        ret
.list:  mov [bx + LIST], di
        test byte [si + ATTR_NONRES], 1
        jnz .runs
        mov cx, [si + VALUE_LENGTH]
        add si, [si + VALUE_OFFSET]
        rep movsb
        mov [bx + LIST_END], di
        jmp .first
.runs:  mov ecx, [si + DATA_SIZE]
        cmp ecx, LIST_MAX
        ja damage
        push bx
        mov [attribute_list + PIECE], si
        movzx edi, di
        lea eax, [edi + ecx]
        mov [bx + LIST_END], ax
        mov bx, attribute_list
        add ecx, 511
        shr ecx, 9
        xor eax, eax
        call rdattr
        pop bx
.first: xor eax, eax
        ; fall through

; seek: BX = stream, EAX = VCN -> SI = the piece that has it; CF = 1: none. EAX, BX kept
seek:   mov si, [bx + PIECE]
        cmp word [bx + LIST], 0
        je .done
        test si, si
        jz .walk
        test byte [si + ATTR_NONRES], 1
        jz .done
        cmp eax, [si + LOWEST_VCN]
        jb .walk
        cmp eax, [si + HIGHEST_VCN]
        jbe .done
.walk:  push eax
        mov edx, eax
        mov eax, [bx + TYPE]
        call name
        xor bp, bp                      ; the last entry that begins at or before the VCN
        mov si, [bx + LIST]
.next:  mov di, [bx + LIST_END]
        sub di, si
        jbe .end
        cmp word [si + ENTRY_LENGTH], 0x1A
        jb damage
        cmp di, [si + ENTRY_LENGTH]
        jb damage
        cmp [si], eax
        jne .skip
        cmp [si + ENTRY_NAME], cl
        jne .skip
        cmp edx, [si + ENTRY_VCN]
        jb .skip
        mov bp, si
.skip:  add si, [si + ENTRY_LENGTH]
        jmp .next
.end:   test bp, bp
        jz .none
        push dword [bp + ENTRY_VCN]
        cmp word [bp + ENTRY_RECORD + 4], 0
        jne damage
        mov eax, [bp + ENTRY_RECORD]
        mov si, [bx + BASE]
        cmp eax, [bx + NUMBER]
        je .here
        push word [bp + ENTRY_RECORD + 6]
        mov word [bx + PIECE], 0        ; the buffer that may hold it gets the other record
        mov di, [bx + EXTENSION]
        inc byte [nesting]              ; an extension record of $MFT may itself lie behind another piece of $MFT
        cmp byte [nesting], NESTING_MAX
        ja damage
        call rdrec
        dec byte [nesting]
        pop dx
        call current
        mov eax, [bx + NUMBER]
        cmp [si + RECORD_BASE], eax
        jne damage
.here:  pop edx
        mov eax, [bx + TYPE]
        call find
        jc damage
        mov [bx + PIECE], si
        pop eax
.done:  clc
        ret
.none:  pop eax
        stc
        ret

; rdattr: BX = stream, EAX = first sector within it, ECX = sectors, EDI = linear address. BX kept
rdattr: test ecx, ecx
        jz .done
        push eax
        push ecx
        push edi
        xor edx, edx
        div dword [cluster]
        push edx                        ; sector within the cluster
        call seek
        jc damage
        call lookup
        call sectors
        xchg eax, ecx
        call sectors
        xchg eax, ecx
        pop edx
        add eax, edx                    ; EAX = sector of the volume
        jc damage
        sub ecx, edx                    ; ECX = sectors to the end of the run
        pop edi
        pop edx                         ; EDX = sectors still wanted
        cmp ecx, edx
        jbe .inside
        mov ecx, edx
.inside:
        mov ebp, eax
        add ebp, ecx
        jc damage
        cmp dword [total_sectors + 4], 0
        jne .run
        cmp ebp, [total_sectors]
        ja damage
.run:   push edx
        push ecx
.chunk: mov edx, 0x10000                ; up to the next 64 KiB boundary
        movzx ebp, di
        sub edx, ebp
        shr edx, 9
        cmp edx, READ_MAX
        jbe .max
        mov edx, READ_MAX
.max:   cmp edx, ecx
        jbe .last
        mov edx, ecx
.last:  push cx
        mov cx, dx
        call rdsec
        pop cx
        add eax, edx
        sub ecx, edx
        shl edx, 9
        add edi, edx
        test ecx, ecx
        jnz .chunk
        pop ecx
        pop edx
        pop eax
        add eax, ecx
        sub edx, ecx
        mov ecx, edx
        jmp rdattr
.done:  ret

; lookup: SI = piece, EAX = VCN -> EAX = LCN, ECX = clusters to the end of the run. BX kept
lookup: test byte [si + ATTR_NONRES], 1
        jz damage
        push bx
        sub eax, [si + LOWEST_VCN]
        jb damage
        mov bp, si
        add bp, [si + ATTR_LENGTH]
        add si, [si + RUNS_OFFSET]
        xor edi, edi                    ; LCN so far
.run:   cmp si, bp
        jae damage
        mov bl, [si]
        inc si
        mov cl, bl
        and cl, 15
        jz damage                       ; the end, or a run without length
        call number
        mov edx, ecx
        mov cl, bl
        shr cl, 4
        jz .hole
        call number
        add edi, ecx
        cmp si, bp
        ja damage
        cmp eax, edx
        jb .here
.skip:  sub eax, edx
        jmp .run
.hole:  cmp eax, edx
        jae .skip
        cmp word [place], m_bootmgr
        je packed
        jmp damage
.here:  mov ecx, edx
        sub ecx, eax
        add eax, edi
        pop bx
        ret

; number: CL = bytes at SI -> ECX = its low 32 bits, sign-extended; SI behind it. EAX, BX, EDX, EDI kept
number: push eax
        push bx
        movzx bx, cl
        add si, bx
        push si
        movsx eax, byte [si - 1]
.next:  dec bx
        jz .done
        dec si
        shl eax, 8
        mov al, [si - 1]
        jmp .next
.done:  pop si
        mov ecx, eax
        pop bx
        pop eax
        ret

; scan: BX = index node header, DX = end of its buffer -> CF = 0: BX = entry of bootmgr;
; CF = 1, ZF = 1: not there; CF = 1, ZF = 0: EAX = VCN of the child to look in
scan:   cmp word [bx + NODE_USED + 2], 0
        jne damage
        mov bp, bx
        add bp, [bx + NODE_USED]
        jc damage
        cmp bp, dx
        ja damage
        add bx, [bx]
        jc damage
.entry: mov cx, bp
        sub cx, bx
        jbe damage
        mov ax, [bx + KEY_LENGTH]
        cmp ax, 0x10
        jb damage
        cmp cx, ax
        jb damage
        test byte [bx + KEY_FLAGS], 2
        jnz .down
        movzx cx, byte [bx + KEY_NAME_LENGTH]
        mov di, cx
        shl di, 1
        add di, KEY_NAME
        cmp di, ax
        ja damage
        lea di, [bx + KEY_NAME]
        mov si, bootmgr
        mov dx, BOOTMGR_LENGTH
.char:  jcxz .end                       ; the entry's name is used up
        test dx, dx
        jz .down                        ; ours is a prefix of it
        mov ax, [di]
        cmp ax, 'a'
        jb .upper
        cmp ax, 'z'
        ja .upper
        sub ax, 0x20
.upper: cmp [si], ax
        jb .down
        ja .next
        add si, 2
        add di, 2
        dec cx
        dec dx
        jmp .char
.end:   test dx, dx
        jnz .next
        clc
        ret
.next:  add bx, [bx + KEY_LENGTH]
        jmp .entry
.down:  test byte [bx + KEY_FLAGS], 1
        jz .leaf                        ; test leaves ZF = 1
        cmp word [bx + KEY_LENGTH], 0x18
        jb damage
        add bx, [bx + KEY_LENGTH]
        mov eax, [bx - 8]
        cmp dword [bx - 4], 0
        jne damage
        test bx, bx                     ; ZF = 0
.leaf:  stc
        ret

