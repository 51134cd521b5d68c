package cachekey
import ("testing";"fmt";"time";"net/netip";"math/big")
type city struct{ id int; lang string }
func TestX(t *testing.T){
 rome,_ := time.LoadLocation("Europe/Rome")
 big1,_ := new(big.Int).SetString("123456789012345678901234567890",10)
 one := 1
 p := &one
 for _, x := range []any{1,"a b",nil,true,1.5,[]byte("x y"),[]any{1,2},map[string]any{"k":Tuple{1}},int64(1),city{1,"it"},&city{1,"it"},(*int)(nil),p,&p,time.Now(),time.Now().UTC(),time.Now().In(rome),netip.MustParseAddr("1.2.3.4"),big1,big.NewInt(3),Kwargs{"a":1},map[any]any{"a":1},map[any]any{1:1}, []int{1}, [3]byte{1}, struct{A int `x:"a b"`}{1}, 1e16, 1e-5, float32(1e-4), complex(1,-2), func(){}, rome} {
  s, err := Repr(x); fmt.Println(s, err)
 }
 fmt.Println(Args([]any{1,"a",nil,true,1.5,[]byte("x"),[]any{1,2},map[string]any{"k":Tuple{1}}}, Kwargs{"foo":"hello"}))
 fmt.Println(Args([]any{"test"}, nil))
 fmt.Println(FuncName(FuncName)); fmt.Println(FuncName(func(){})); fmt.Println(FuncName((*Encoder).Append)); fmt.Println(FuncName(Keyer.CacheKey));fmt.Println(FuncName(time.Now))
 fmt.Println(FuncName(intBody[int]))
}
